"""Export of fitted models as ONNX files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

import latently
from latently.estimators import fitted_of
from latently.export._check import OnnxCheck, check_model, self_test_of
from latently.export._columns import REBUILT, THRESHOLD, Encoded, encode_table, exported_columns
from latently.export._decode import decode_array, decode_table
from latently.export._graph import Graph, Value
from latently.export._onnx import check_extra
from latently.export._parts import Parts, parts_of
from latently.export._stored import count_below
from latently.io._atomic import check_output, write_bytes


def export_onnx(model: Any, path: str | Path, *, overwrite: bool = False) -> OnnxCheck:
    """Write a fitted model as an ONNX file, which runs without torch and latently.

    The graph holds all steps from the columns in the user's units to the results:

    - ``code`` and ``reconstruction``, in the user's units;
    - ``score``, ``p_value`` and ``flag`` of an anomaly detector. The optional input ``threshold``
      replaces its threshold, above which scores are flagged;
    - ``reconstruction_error`` of an autoencoder.

    A table has one input per column, an array and a stack of images have one in all. The metadata
    of the file holds the version of latently, the columns with their kinds and units, the
    threshold, and rows with their results, which are compared after the export.

    Parameters
    ----------
    model : AnomalyDetector, AutoencoderDenoiser or autoencoder
        Fitted model.
    path : str or Path
        The file to write.
    overwrite : bool, default=False
        If True, replace an existing file.

    Returns
    -------
    OnnxCheck
        The largest differences between the file and the model on the rows in the file.

    Raises
    ------
    MissingExtraError
        If onnx or onnxruntime is not installed.
    NotFittedError
        If the model is not fitted.
    ParameterError
        If the model cannot be exported.
    OutputExistsError
        If the file exists and ``overwrite`` is False.

    Examples
    --------
    >>> import tempfile, numpy as np, latently
    >>> X = np.random.default_rng(0).normal(size=(200, 3))
    >>> detector = latently.AnomalyDetector(random_state=0).fit(X)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     check = latently.export_onnx(detector, f"{folder}/detector.onnx")
    >>> check.n_flags_differ, check.largest_difference < 1e-4
    (0, True)
    """
    check_extra()
    check_output(path, overwrite)
    exported = _build(model)
    check = check_model(exported.SerializeToString(), str(path))
    write_bytes(path, lambda file: file.write(exported.SerializeToString()), overwrite)
    return check


def _build(model: Any) -> Any:
    """Return the ONNX model."""
    parts, graph = parts_of(model), Graph()
    encoded = encode_table(graph, parts.preprocessor)
    if parts.detector is not None:
        _add_scores(graph, parts, encoded)
    _add_rows(graph, parts, encoded)
    return graph.to_model(type(model).__name__, _notes(model, parts))


def _add_scores(graph: Graph, parts: Parts, encoded: Encoded) -> None:
    """Add score, p-value and flag of each row."""
    detector = parts.detector
    (score,) = _by_rows(graph, parts, encoded, lambda rows: [parts.score(rows)])
    calibration = detector.calibration_
    least = (score - calibration.slack).reshape(-1, 1)
    below = count_below(least, calibration.scores[None]).reshape(-1).cast(np.float64)
    n_scores = len(calibration.scores)
    graph.add_output("score", score, ["rows"])
    p_value = (graph.constant(np.array(n_scores + 1.0)) - below) / (n_scores + 1.0)
    graph.add_output("p_value", p_value, ["rows"])
    threshold = graph.add_default(THRESHOLD, np.array(detector.threshold_.cut))
    graph.add_output("flag", score > threshold, ["rows"])


def _add_rows(graph: Graph, parts: Parts, encoded: Encoded) -> None:
    """Add code and reconstruction of each row, and the error of an autoencoder."""
    code, mean, *errors = _by_rows(graph, parts, encoded, parts.rebuild)
    graph.add_output("code", code, ["rows", parts.n_components])
    if parts.detector is None and errors:
        graph.add_output("reconstruction_error", errors[0], ["rows"])
    preprocessor = parts.preprocessor
    if preprocessor.spec.names is None:
        width = len(preprocessor.positions)
        graph.add_output("reconstruction", decode_array(preprocessor, mean), ["rows", width])
        return
    decoded = decode_table(preprocessor, mean)
    for column, value in zip(exported_columns(preprocessor), decoded, strict=True):
        graph.add_output(f"{REBUILT}{column.name}", value.reshape(-1), ["rows"])


def _by_rows(graph: Graph, parts: Parts, encoded: Encoded, build: Any) -> list[Value]:
    """Build nodes for chunks of encoded rows."""
    given = [encoded.values] if encoded.observed is None else list(encoded)
    return graph.by_chunks(given, parts.n_rows_at_once, lambda values: build(Encoded(*values)))


def _notes(model: Any, parts: Parts) -> dict[str, str]:
    """Return the metadata of a file."""
    columns = [column.to_dict() for column in exported_columns(parts.preprocessor)]
    notes = {
        "latently_version": latently.__version__,
        "model": type(model).__name__,
        "columns": json.dumps(columns),
        "self_test": json.dumps(self_test_of(model, parts)),
    }
    threshold = getattr(model, "threshold_", None)
    if threshold is not None:
        described = {"cut": threshold.cut, "reason": threshold.reason, "rule": str(model.rule_)}
        notes["threshold"] = json.dumps(described)
    return notes
