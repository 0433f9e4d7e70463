"""Export of fitted models as ONNX files."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from latently.export._check import OnnxCheck, compare, self_test_of
from latently.export._columns import (
    REBUILT,
    THRESHOLD,
    Encoded,
    encode_table,
    exported_columns,
    is_array,
)
from latently.export._graph import Graph, Value
from latently.export._onnx import check_extra
from latently.export._parts import Parts, parts_of
from latently.export.models._codes import Rebuilt, row_errors
from latently.export.models._decode import decode_array, decode_table
from latently.export.models._pictures import decode_images, encode_images, output_shape
from latently.export.models._stored import count_below
from latently.io._atomic import check_output, write_bytes
from latently.preprocessing import ImagePreprocessor, TablePreprocessor


def export_onnx(
    model: Any,
    path: str | Path,
    *,
    outputs: Sequence[str] | None = None,
    overwrite: bool = False,
) -> OnnxCheck:
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
    outputs : sequence of str or None, default=None
        Some of "score" (with p-value and flag), "code", "reconstruction" and
        "reconstruction_error". None means all, but only "score" for a detector with a
        ``NeighborAutoencoder``: its code has one number per stored row, and takes longer than the
        score.
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
    parts = parts_of(model, outputs)
    self_test = self_test_of(parts)
    data = _build(model, parts, self_test).SerializeToString()
    check = compare(data, self_test, str(path))
    write_bytes(path, lambda file: file.write(data), overwrite)
    return check


def _build(model: Any, parts: Parts, self_test: str) -> Any:
    """Return the ONNX model."""
    graph = Graph()
    if isinstance(parts.preprocessor, ImagePreprocessor):
        encoded = encode_images(graph, parts.preprocessor, any_size=parts.takes_any_size)
    else:
        encoded = encode_table(graph, parts.preprocessor)
    for name, value in _results(graph, parts, encoded).items():
        _ADDED[name](graph, parts, value)
    return graph.to_model(type(model).__name__, _notes(model, parts, self_test))


def _results(graph: Graph, parts: Parts, encoded: Encoded) -> dict[str, Value]:
    """Return the results of all rows, computed in chunks of rows."""
    names = parts.outputs

    def build(values: list[Value]) -> list[Value]:
        rows = Encoded(values[0], values[1] if len(values) > 1 else None)
        needs_code = names != ("score",) or not parts.scores_stored_rows
        rebuilt = parts.rebuild(rows) if needs_code else None
        return [_result(parts, name, rows, rebuilt) for name in names]

    given = [value for value in encoded if value is not None]
    if parts.takes_any_size:
        found = build(given)
    else:
        found = graph.by_chunks(given, parts.n_rows_at_once, build)
    return dict(zip(names, found, strict=True))


def _result(parts: Parts, name: str, rows: Encoded, rebuilt: Rebuilt | None) -> Value:
    if name == "score":
        return parts.score(rows, None if parts.scores_stored_rows else rebuilt)
    assert rebuilt is not None
    if name == "code":
        return parts.turned(rebuilt.code)
    if name == "reconstruction":
        return rebuilt.mean
    return row_errors(rebuilt, rows, parts.module)


def _add_score(graph: Graph, parts: Parts, score: Value) -> None:
    """Add score, p-value and flag of each row."""
    score = score.cast(np.float64)
    calibration = parts.detector.calibration_
    least = (score - calibration.slack).reshape(-1, 1)
    below = count_below(least, calibration.scores[None]).reshape(-1).cast(np.float64)
    n_scores = len(calibration.scores)
    p_value = (-below + (n_scores + 1.0)) / (n_scores + 1.0)
    threshold = graph.add_default(THRESHOLD, np.array(parts.detector.threshold_.cut))
    for name, value in (("score", score), ("p_value", p_value), ("flag", score > threshold)):
        graph.add_output(name, value, ["rows"])


def _add_code(graph: Graph, parts: Parts, code: Value) -> None:
    graph.add_output("code", code, ["rows", parts.autoencoder.n_components_])


def _add_error(graph: Graph, parts: Parts, error: Value) -> None:
    graph.add_output("reconstruction_error", error, ["rows"])


def _add_rows(graph: Graph, parts: Parts, mean: Value) -> None:
    """Add the reconstruction in the user's units: a column each, or an array or images."""
    preprocessor, name = parts.preprocessor, "reconstruction"
    if isinstance(preprocessor, ImagePreprocessor):
        shape = output_shape(preprocessor, any_size=parts.takes_any_size)
        images = mean if parts.takes_any_size else mean.reshape(-1, *preprocessor.layout.shape)
        graph.add_output(name, decode_images(preprocessor, images), ["rows", *shape])
    elif is_array(preprocessor):
        n_columns = len(preprocessor.positions)
        graph.add_output(name, decode_array(preprocessor, mean), ["rows", n_columns])
    else:
        columns, decoded = exported_columns(preprocessor), decode_table(preprocessor, mean)
        for column, value in zip(columns, decoded, strict=True):
            graph.add_output(REBUILT + column.name, value.reshape(-1), ["rows"])


_ADDED: dict[str, Callable[[Graph, Parts, Value], None]] = {
    "score": _add_score,
    "code": _add_code,
    "reconstruction": _add_rows,
    "reconstruction_error": _add_error,
}


def _notes(model: Any, parts: Parts, self_test: str) -> dict[str, str]:
    """Return the metadata of a file."""
    notes = {
        "latently_version": version("latently"),
        "model": type(model).__name__,
        "outputs": json.dumps(parts.outputs),
        "self_test": self_test,
    }
    if isinstance(parts.preprocessor, TablePreprocessor):
        columns = [column.to_dict() for column in exported_columns(parts.preprocessor)]
        notes["columns"] = json.dumps(columns)
    if parts.detector is not None:
        threshold = parts.detector.threshold_
        described = {"cut": threshold.cut, "low": threshold.low, "high": threshold.high,
                     "reason": threshold.reason, "rule": repr(parts.detector.rule_),
                     "n_calibration": len(parts.detector.calibration_.scores)}  # fmt: skip
        notes["threshold"] = json.dumps(described)
    return notes
