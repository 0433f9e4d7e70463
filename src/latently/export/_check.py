"""Comparison of an exported graph with the results of its model on rows in the file."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from latently._notices import silenced
from latently.exceptions import ModelFileError
from latently.export._onnx import import_onnx, import_onnxruntime
from latently.export._parts import Parts, parts_of
from latently.export._rows import inputs_of
from latently.export.models._pictures import IMAGES
from latently.nn import StoredRows
from latently.preprocessing import ImagePreprocessor, TablePreprocessor

#: Rows in a file: stored ones, and random ones.
_N_STORED, _N_RANDOM, _N_IMAGES = 16, 48, 4
#: Fraction of missing cells among the random rows.
_MISSING = 0.05
#: Relative difference from which a file is refused.
_LARGEST = 1e-3
#: Relative distance from the threshold within which a flag depends on rounding.
_TIED = 1e-4


@dataclass(frozen=True)
class OnnxCheck:
    """Differences between the results of a file and those of its model.

    Attributes
    ----------
    n_rows : int
        Number of rows that were compared, which the file holds. Zero for a file with a
        reconstruction only: rounding to the grid of a column may move it by a step.
    largest_difference : float
        Largest difference of scores or errors, as a fraction of the score where it is above 1.
    n_flags_differ : int
        Number of rows with another flag.
    """

    n_rows: int
    largest_difference: float
    n_flags_differ: int

    def __str__(self) -> str:
        return (
            f"{self.n_rows:,} rows compared: largest difference {self.largest_difference:.1e}, "
            f"{self.n_flags_differ:,} flags differ"
        )


class SelfTest(NamedTuple):
    """Rows and results of a model.

    Attributes
    ----------
    inputs : dict of str to ndarray
        Inputs of the graph.
    outputs : dict of str to ndarray
        Numbers that the model returns.
    flags : dict of str to ndarray
        Flags that the model returns.
    """

    inputs: dict[str, np.ndarray]
    outputs: dict[str, np.ndarray]
    flags: dict[str, np.ndarray]

    @property
    def n_rows(self) -> int:
        """Number of rows with a result, which a reconstruction is not."""
        return len(next(iter(self.inputs.values()))) if self.outputs else 0


def check_onnx(path: str | Path, model: Any = None) -> OnnxCheck:
    """Compare the results of an exported file with those of its model.

    Parameters
    ----------
    path : str or Path
        File that ``export_onnx`` wrote.
    model : estimator or None, default=None
        The fitted model. None compares with the results that the file holds.

    Returns
    -------
    OnnxCheck
        The largest differences.

    Raises
    ------
    MissingExtraError
        If onnx or onnxruntime is not installed.
    ModelFileError
        If the file is damaged, was not written by ``export_onnx`` or has other results.

    Examples
    --------
    >>> import tempfile, numpy as np, latently
    >>> X = np.random.default_rng(0).normal(size=(200, 3))
    >>> detector = latently.AnomalyDetector(random_state=0).fit(X)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = latently.export_onnx(detector, f"{folder}/detector.onnx")
    ...     check = latently.check_onnx(f"{folder}/detector.onnx", detector)
    >>> check.n_flags_differ
    0
    """
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise ModelFileError(f"{path} cannot be read: {error.strerror}.", "unreadable") from None
    notes = _notes_of(data, str(path))
    if model is not None:
        wanted = json.loads(notes["outputs"])
        notes["self_test"] = self_test_of(parts_of(model, wanted))
    return compare(data, notes["self_test"], str(path))


def compare(data: bytes, self_test: str, name: str) -> OnnxCheck:
    """Compare the results of a serialized graph with those that it holds.

    Parameters
    ----------
    data : bytes
        The graph.
    self_test : str
        Rows and results, from ``self_test_of``.
    name : str
        Name of the file, for messages.

    Raises
    ------
    ModelFileError
        If the results differ by more than rounding.
    """
    test = _unpacked_test(self_test)
    try:
        results = run(data, test.inputs)
    except _runtime_errors() as error:
        raise _refused(name, f"an error of onnxruntime: {error!s:.200}") from None
    differences = [_difference(results[key], wanted) for key, wanted in test.outputs.items()]
    n_flags = sum(int((results[key] != wanted).sum()) for key, wanted in test.flags.items())
    check = OnnxCheck(test.n_rows, max(differences, default=0.0), n_flags)
    if not check.largest_difference <= _LARGEST or n_flags:
        raise _refused(name, str(check))
    return check


def _difference(found: np.ndarray, wanted: np.ndarray) -> float:
    return float((np.abs(found - wanted) / np.maximum(1.0, np.abs(wanted))).max(initial=0.0))


def _refused(name: str, what: str) -> ModelFileError:
    return ModelFileError(
        f"{name} must give the results of its model, got {what}. Export the model again.", "differs"
    )


def run(data: bytes, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return the outputs of a serialized graph by name."""
    runtime = import_onnxruntime()
    options = runtime.SessionOptions()
    options.log_severity_level = 3
    session = runtime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(None, inputs), strict=True))


def self_test_of(parts: Parts) -> str:
    """Return rows as the inputs of a graph, and the results of the model, as JSON."""
    with silenced():
        rows = _rows(parts)
        results = _results(parts, rows)
    if isinstance(parts.preprocessor, ImagePreprocessor):
        inputs = {IMAGES: rows}
    else:
        inputs = inputs_of(parts.preprocessor, rows)
    clear = _clear(parts, results)
    packed = {
        part: {name: _packed(array[clear]) for name, array in arrays.items()}
        for part, arrays in (("inputs", inputs), ("outputs", results))
    }
    return json.dumps(packed)


def _clear(parts: Parts, results: dict[str, np.ndarray]) -> np.ndarray | slice:
    """Return True for rows whose flag does not depend on rounding."""
    if "score" not in results:
        return slice(None)
    score = results["score"]
    distance = np.abs(score - parts.detector.threshold_.cut)
    clear: np.ndarray = distance > _TIED * np.maximum(1.0, np.abs(score))
    return clear


def _rows(parts: Parts) -> Any:
    """Return random rows in the user's units, and some of the stored ones."""
    preprocessor = parts.preprocessor
    if isinstance(preprocessor, ImagePreprocessor):
        values = np.random.default_rng(0).random((_N_IMAGES, preprocessor.layout.width))
        return preprocessor.decode(values)
    values, missing = _random_rows(preprocessor)
    if isinstance(parts.module, StoredRows):
        stored = parts.module.stored.take(slice(_N_STORED))
        values = np.vstack([values, stored.values.numpy()])
        gaps = np.zeros((len(stored.values), missing.shape[1]), dtype=bool)
        missing = np.vstack(
            [missing, gaps if stored.observed is None else ~stored.observed.numpy()]
        )
    if preprocessor.spec.names is not None:
        return preprocessor.decode(values, like=pa.table({}), missing=missing)
    holds_gaps = np.dtype(preprocessor.spec.dtype).kind == "f"
    return preprocessor.decode(values, missing=missing if holds_gaps else None)


def _random_rows(preprocessor: TablePreprocessor) -> tuple[np.ndarray, np.ndarray]:
    """Return normal rows, whose categories are random, and a mask of missing cells."""
    rng, layout = np.random.default_rng(0), preprocessor.layout
    values = rng.normal(size=(_N_RANDOM, layout.width)) * rng.choice([1.0, 4.0], (_N_RANDOM, 1))
    missing = rng.random((_N_RANDOM, layout.n_columns)) < _MISSING
    missing[0] = True
    return values, missing


def _results(parts: Parts, rows: Any) -> dict[str, np.ndarray]:
    """Return the results of the model for rows, by the name of the output."""
    detector, results = parts.detector, {}
    if "score" in parts.outputs:
        score = detector.anomaly_score(rows)
        results = {"score": score, "flag": score > detector.threshold_.cut}
    if "reconstruction_error" in parts.outputs:
        results["reconstruction_error"] = parts.autoencoder.reconstruction_error(rows)
    if "code" in parts.outputs:
        results["code"] = parts.autoencoder.transform(rows)
    return results


def _packed(array: np.ndarray) -> dict[str, Any]:
    """Return an array as JSON values. A missing number is null."""
    kind = "string" if array.dtype == object else str(array.dtype)
    cells = array.ravel().tolist()
    if array.dtype.kind == "f":
        cells = [None if cell != cell else cell for cell in cells]
    return {"type": kind, "shape": list(array.shape), "data": cells}


def _unpacked(packed: dict[str, Any]) -> np.ndarray:
    dtype = object if packed["type"] == "string" else np.dtype(packed["type"])
    cells = packed["data"]
    if np.dtype(dtype).kind == "f":
        cells = [np.nan if cell is None else cell for cell in cells]
    return np.array(cells, dtype=dtype).reshape(packed["shape"])


def _unpacked_test(self_test: str) -> SelfTest:
    """Return the rows and results of JSON."""
    packed = json.loads(self_test)
    inputs, outputs = (
        {name: _unpacked(array) for name, array in packed[part].items()}
        for part in ("inputs", "outputs")
    )
    flags = {name: outputs.pop(name) for name in ("flag",) if name in outputs}
    return SelfTest(inputs, outputs, flags)


def _notes_of(data: bytes, name: str) -> dict[str, str]:
    """Return the metadata of a file."""
    onnx = import_onnx()
    try:
        model = onnx.load_model_from_string(data)
        onnx.checker.check_model(model)
    except Exception as error:  # of the parser, whose types differ by its version
        raise ModelFileError(
            f"{name} must be an ONNX file, got one that is damaged ({type(error).__name__}). "
            "Export the model again.",
            "damaged",
        ) from None
    notes = {entry.key: entry.value for entry in model.metadata_props}
    if not {"outputs", "self_test"} <= set(notes):
        raise ModelFileError(
            f"{name} must be a file that latently export wrote, got one without its rows. Export "
            "the model again.",
            "foreign",
        )
    return notes


def _runtime_errors() -> tuple[type[Exception], ...]:
    state = import_onnxruntime().capi.onnxruntime_pybind11_state
    return (state.Fail, state.InvalidArgument, state.InvalidGraph, state.NotImplemented,
            state.RuntimeException, ValueError)  # fmt: skip
