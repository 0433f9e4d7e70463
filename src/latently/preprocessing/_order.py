"""One order of the rows, whatever order they came in."""

from __future__ import annotations

import hashlib
from typing import Any, NamedTuple

import narwhals as nw
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from latently.schema import arrow_table, plain, ticks_of

_CHUNK_ELEMENTS = 1 << 22


class CanonicalOrder(NamedTuple):
    """The order of rows by their content.

    Attributes
    ----------
    places : ndarray of shape (n_samples,)
        Row positions.
    content : ndarray of shape (n_samples,)
        A number for each distinct row, in that order: equal for equal rows.
    """

    places: np.ndarray
    content: np.ndarray


def canonical_order(data: np.ndarray | nw.DataFrame[Any]) -> CanonicalOrder:
    """Return the index that sorts rows by a hash of their content.

    Equal rows lie together, so that repeating a row and weighting it are the same thing.

    Parameters
    ----------
    data : ndarray or narwhals.DataFrame
        Rows, of any shape and types.

    Returns
    -------
    CanonicalOrder
        Row positions, and which rows are equal.
    """
    bits = _frame_bits(data) if isinstance(data, nw.DataFrame) else _array_bits(data)
    index = np.argsort(bits, kind="stable")
    changes = np.diff(bits[index], prepend=bits[index[:1]]) != 0
    return CanonicalOrder(index, np.cumsum(changes))


def _array_bits(data: np.ndarray) -> np.ndarray:
    flat = data.reshape(len(data), -1)
    multipliers = _multipliers(flat.shape[1])
    hashes = np.empty(len(flat), dtype=np.uint64)
    chunk = max(1, _CHUNK_ELEMENTS // flat.shape[1])
    for start in range(0, len(flat), chunk):
        # + 0.0 makes -0.0 and 0.0 one value; the high half of a product depends on every bit.
        numbers = np.ascontiguousarray(flat[start : start + chunk], dtype=np.float64) + 0.0
        mixed = numbers.view(np.uint64) * multipliers
        hashes[start : start + chunk] = ((mixed ^ (mixed >> np.uint64(32))) * multipliers).sum(1)
    return hashes


def _frame_bits(frame: nw.DataFrame[Any]) -> np.ndarray:
    return _array_bits(content_matrix(frame))


def content_matrix(data: np.ndarray | nw.DataFrame[Any]) -> np.ndarray:
    """Return one number a cell: numbers as they are, a hash of the content of anything else.

    Parameters
    ----------
    data : ndarray or narwhals.DataFrame
        Rows, of any shape and types.

    Returns
    -------
    ndarray of shape (n_samples, n_columns)
        NaN where a cell is missing; equal numbers for equal cells.
    """
    if isinstance(data, nw.DataFrame):
        return np.column_stack([_ranks(column) for column in arrow_table(data).columns])
    return np.asarray(data.reshape(len(data), -1), dtype=np.float64)


def _ranks(column: pa.ChunkedArray) -> np.ndarray:
    """Return numbers as they are, and a number by its content for anything else."""
    column = plain(column)
    kind = column.type
    if pa.types.is_floating(kind) or pa.types.is_integer(kind):
        numbers: np.ndarray = pc.fill_null(column.cast(pa.float64(), safe=False), np.nan).to_numpy()
        return numbers
    if pa.types.is_null(kind):
        return np.zeros(len(column))
    if pa.types.is_temporal(kind):
        ticks = ticks_of(column)
        return np.where(ticks.observed, ticks.counts.astype(np.float64), np.nan)
    values = column.unique().drop_null()
    digests = np.array([_content_hash(value) for value in values.to_pylist()] or [0.0])
    places = pc.fill_null(pc.index_in(column, value_set=values), -1).to_numpy()
    return np.where(places < 0, np.nan, digests[places])


def _content_hash(value: object) -> float:
    """Return a number by the content of a value, the same in every process."""
    digest = hashlib.blake2b(repr(value).encode("utf-8", "surrogatepass"), digest_size=6)
    return float(int.from_bytes(digest.digest(), "big"))


def _multipliers(n: int) -> np.ndarray:
    """Return odd 64-bit numbers, always the same."""
    numbers = np.random.default_rng(0x1A7E).integers(2**63, size=n, dtype=np.uint64)
    return numbers | np.uint64(1)
