"""Comparison of an exported graph with the results of its model on rows in the file."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from latently._notices import silenced
from latently.exceptions import ModelFileError
from latently.export._onnx import import_onnx, import_onnxruntime
from latently.export._parts import Parts
from latently.export._pictures import IMAGES
from latently.export._rows import inputs_of
from latently.nn import StoredRows
from latently.preprocessing import ImagePreprocessor, TablePreprocessor

#: Rows in a file: stored ones, and random ones.
_N_STORED, _N_RANDOM, _N_IMAGES = 16, 48, 4
#: Fraction of missing cells among the random rows.
_MISSING = 0.05
#: Relative difference from which a file is refused.
_LARGEST = 1e-3
#: Relative distance from the threshold within which flags may differ by rounding.
_TIED = 1e-5


@dataclass(frozen=True)
class OnnxCheck:
    """Differences between the results of a file and those of its model.

    Attributes
    ----------
    n_rows : int
        Number of rows that were compared, which the file holds.
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


def check_onnx(path: str | Path) -> OnnxCheck:
    """Compare the results of an exported file with those of its model, which the file holds.

    Parameters
    ----------
    path : str or Path
        File that ``export_onnx`` wrote.

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
    """
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise ModelFileError(f"{path} cannot be read: {error.strerror}.", "unreadable") from None
    return check_model(data, str(path))


def check_model(data: bytes, name: str) -> OnnxCheck:
    """Compare the results of a serialized graph with those that it holds.

    Parameters
    ----------
    data : bytes
        The graph.
    name : str
        Name of the file, for messages.

    Raises
    ------
    ModelFileError
        If the results differ by more than rounding.
    """
    rows = _rows_of(data, name)
    results = run(data, rows["inputs"], list(rows["outputs"]))
    differences, n_flags = [0.0], 0
    for output, wanted in rows["outputs"].items():
        if output == "flag":
            n_flags = int((results[output] != wanted).sum())
        else:
            scale = np.maximum(1.0, np.abs(wanted))
            differences.append(float((np.abs(results[output] - wanted) / scale).max()))
    check = OnnxCheck(len(wanted), max(differences), n_flags)
    if not check.largest_difference <= _LARGEST:
        raise ModelFileError(
            f"{name} must give the results of its model, got a difference of "
            f"{check.largest_difference:.1e}. Export the model again.",
            "differs",
        )
    return check


def run(data: bytes, inputs: dict[str, np.ndarray], outputs: list[str]) -> dict[str, np.ndarray]:
    """Return outputs of a serialized graph by name."""
    runtime = import_onnxruntime()
    options = runtime.SessionOptions()
    options.log_severity_level = 3
    session = runtime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    return dict(zip(outputs, session.run(outputs, inputs), strict=True))


def self_test_of(parts: Parts) -> str:
    """Return rows as the inputs of a graph, and the results of the model, as JSON."""
    with silenced():
        rows = _rows(parts)
        results = _results(parts, rows)
    if isinstance(parts.preprocessor, ImagePreprocessor):
        inputs = {IMAGES: rows}
    else:
        inputs = inputs_of(parts.preprocessor, rows)
    packed = {
        part: {name: _packed(array) for name, array in arrays.items()}
        for part, arrays in (("inputs", inputs), ("outputs", results))
    }
    return json.dumps(packed)


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
        missing = np.vstack([missing, gaps if stored.observed is None else ~stored.observed.numpy()])
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
    if parts.detector is None:
        if "reconstruction_error" not in parts.outputs:
            return {}
        return {"reconstruction_error": parts.autoencoder.reconstruction_error(rows)}
    if "score" not in parts.outputs:
        return {}
    score = parts.detector.anomaly_score(rows)
    cut = parts.detector.threshold_.cut
    return {
        "score": score,
        "flag": _clear_flags(score, cut),
    }


def _clear_flags(score: np.ndarray, cut: float) -> np.ndarray:
    flags: np.ndarray = score > cut
    return flags


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


def _rows_of(data: bytes, name: str) -> dict[str, dict[str, np.ndarray]]:
    """Return the rows and results in a file."""
    onnx = import_onnx()
    try:
        model = onnx.load_model_from_string(data)
        onnx.checker.check_model(model)
        notes = {entry.key: entry.value for entry in model.metadata_props}
        packed = json.loads(notes["self_test"])
        return {
            part: {key: _unpacked(value) for key, value in packed[part].items()}
            for part in ("inputs", "outputs")
        }
    except _errors() as error:
        raise ModelFileError(
            f"{name} must be a file that latently export wrote, got one without its rows "
            f"({type(error).__name__}). Export the model again.",
            "format",
        ) from None


def _errors() -> tuple[type[Exception], ...]:
    from google.protobuf.message import DecodeError

    checker: Callable[..., Any] = import_onnx().checker
    return (DecodeError, checker.ValidationError, KeyError, ValueError, TypeError)  # type: ignore[attr-defined]
