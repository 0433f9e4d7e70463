"""Convert rows of any kind to an array, a frame or a list, or raise an error with a remedy."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Set
from typing import Any

import narwhals as nw
import numpy as np
import pyarrow as pa

from latently.exceptions import DataError

#: Beyond this, not every integer has a float64 of its own.
_EXACT = 2**53


def plain_rows(X: Any) -> Any:
    """Return rows as an array, a frame or a list. Masked cells become NaN.

    Parameters
    ----------
    X : object
        Rows as passed by the user.

    Returns
    -------
    object
        A float array with NaN for a masked array, and an array for a tensor or a matrix. Record
        batches become Arrow tables, and frames of narwhals the frames inside them. Other rows are
        returned unchanged.

    Raises
    ------
    DataError
        If the object holds no rows, or must be converted first.
    """
    if isinstance(X, np.ma.MaskedArray):
        return _without_mask(X)
    if isinstance(X, np.ndarray):
        # StringDType holds texts, even if NumPy could cast them to numbers.
        return np.array(X.tolist()) if X.dtype.kind == "T" else np.asarray(_refuse_fields(X))
    if isinstance(X, nw.DataFrame):
        return X.to_native()
    if isinstance(X, pa.RecordBatch):
        return pa.Table.from_batches([X])
    if _is_tensor(X):
        return _array_of(X)
    if isinstance(X, list | tuple):
        return _plain_list(X)
    advice = _advice(X)
    if advice is not None:
        raise DataError(f"X must be rows in memory, got {_kind_of(X)}. {advice}")
    if hasattr(X, "__array__") and not _is_of(X, "pandas", "polars", "pyarrow"):
        return _copied(X)
    return X


def unmasked(values: Any, name: str) -> np.ndarray:
    """Return one value per row as an array, and raise DataError for masked values.

    Parameters
    ----------
    values : array-like
        Weights, labels or groups.
    name : str
        Name of the parameter in the message.

    Returns
    -------
    ndarray
        The values.

    Raises
    ------
    DataError
        If a value is masked.
    """
    if np.ma.is_masked(values):
        n_masked = int(np.ma.getmaskarray(values).sum())
        raise DataError(
            f"{name} must hold a value for each row, got {n_masked:,} masked ones. Fill them, or "
            "leave those rows out."
        )
    return _array_of(values) if _is_tensor(values) else np.asarray(values)


def _without_mask(X: np.ma.MaskedArray[Any, Any]) -> np.ndarray:
    """Return a masked array as a plain one with NaN for masked cells."""
    _refuse_fields(X)
    values, hidden = np.asarray(X.data), np.ma.getmaskarray(X)
    if not hidden.any():
        return values
    if values.dtype.kind == "f":
        return np.where(hidden, values.dtype.type(np.nan), values)
    if values.dtype.kind in "SUT":
        return values  # refused as any array of texts
    if values.dtype.kind not in "iub":
        objects = values.astype(object)
        objects[hidden] = None
        return objects
    if np.abs(np.where(hidden, 0, values).astype(np.float64)).max() > _EXACT:
        raise DataError(
            f"X must be numbers that a float64 can hold if cells are masked, got {values.dtype} "
            "beyond 2**53. Give a DataFrame with nullable columns (Int64)."
        )
    return np.where(hidden, np.nan, values)


def _refuse_fields(X: np.ndarray) -> np.ndarray:
    if X.dtype.names is not None:
        raise DataError(
            f"X must have one type, got a structured array with fields {list(X.dtype.names)[:5]}. "
            "Give pandas.DataFrame(X)."
        )
    return X


def _copied(X: Any) -> np.ndarray:
    """Return an array of another library as a NumPy array."""
    try:
        return np.asarray(X)
    except (TypeError, ValueError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:120].rstrip(".")
        raise DataError(
            f"X must be an array that NumPy can read, got {_kind_of(X)}: {reason}. Copy it into "
            "one."
        ) from None


def _is_tensor(X: Any) -> bool:
    """Return True for a tensor of torch, without importing torch."""
    return any(f"{k.__module__}.{k.__name__}" == "torch.Tensor" for k in type(X).__mro__)


def _array_of(X: Any) -> np.ndarray:
    """Return a tensor of torch as an array, with single precision for bfloat16."""
    if X.is_nested or str(X.layout) != "torch.strided":
        raise DataError(
            "X must be dense, got a sparse or nested tensor. Give X.to_dense() or "
            "X.to_padded_tensor(float('nan'))."
        )
    if X.is_quantized:
        raise DataError("X must be plain numbers, got a quantized tensor. Give X.dequantize().")
    if X.is_meta:
        raise DataError("X must hold values, got a tensor on the meta device. Give a CPU tensor.")
    tensor = X.detach().cpu().resolve_conj().resolve_neg()
    known = ("float16", "float32", "float64", "complex64", "complex128", "bool")
    name = str(tensor.dtype).removeprefix("torch.")
    if name not in known and "int" not in name:
        tensor = tensor.float()
    array: np.ndarray = tensor.numpy()
    return array


def _plain_list(X: list[Any] | tuple[Any, ...]) -> Any:
    """Return a list with plain arrays for its tensors and masked arrays."""
    first = X[0] if X else None
    if isinstance(first, Mapping):
        raise DataError(
            f"X must be rows of numbers, got a {type(X).__name__} of records. Give "
            "pandas.DataFrame(X)."
        )
    special = isinstance(first, np.ma.MaskedArray) or _is_tensor(first)
    return [plain_rows(row) for row in X] if special else X


def _advice(X: Any) -> str | None:
    """Return the advice for an object that cannot be rows, or None if it can."""
    if isinstance(X, str | bytes | os.PathLike):
        return (
            "Read the file first, such as latently.io.read(path), or give latently.TableDataset("
            "path), which stays on disk."
        )
    if hasattr(X, "nnz") and hasattr(X, "todense"):
        return "Sparse rows are not supported. Give X.toarray(), if it fits into memory."
    if isinstance(X, Mapping):
        return "Give pandas.DataFrame(X)."
    if isinstance(X, type):
        return f"Give an instance of {X.__name__}."
    if isinstance(X, Set) or (isinstance(X, Iterator) and not hasattr(X, "read_all")):
        return "Give a list of rows, or an array."
    if _is_of(X, "torch.utils.data"):
        return "Give its rows as one array or tensor, such as torch.stack([row for row, *_ in X])."
    if hasattr(X, "read_all"):
        return "Give X.read_all()."
    if _is_of(X, "xarray") and hasattr(X, "data_vars"):
        return "Give X.to_dataframe() or one variable of it."
    return _advice_for_lazy(X)


def _advice_for_lazy(X: Any) -> str | None:
    """Return the advice to load a lazy table, or None if the object is in memory."""
    if _is_of(X, "pandas", "polars", "pyarrow", "numpy") and not hasattr(X, "collect"):
        return None
    if hasattr(X, "collect") and not hasattr(X, "shape"):
        return "Call its collect() first."
    if hasattr(X, "compute") and hasattr(X, "columns"):
        return "Call its compute() first."
    streams = hasattr(X, "__arrow_c_stream__") and not hasattr(X, "__array__")
    if streams and not nw.dependencies.is_into_dataframe(X):
        return "Give pyarrow.table(X)."
    return None


def _is_of(X: Any, *packages: str) -> bool:
    """Return True if the class of an object, or a base class, is defined in a package."""
    starts = tuple(f"{package}." for package in packages)
    return any(f"{kind.__module__}.".startswith(starts) for kind in type(X).__mro__)


def _kind_of(X: Any) -> str:
    name = type(X).__name__
    return f"{'an' if name[0] in 'aeiouAEIOU' else 'a'} {name}"
