"""Canonical order of rows, which does not depend on the order of the input."""

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
        Number of the distinct row at each place of that order, equal for equal rows.
    """

    places: np.ndarray
    content: np.ndarray


def canonical_order(data: np.ndarray | nw.DataFrame[Any]) -> CanonicalOrder:
    """Return the index that sorts rows by a hash of their content.

    Equal rows are adjacent, so that repeating a row is equivalent to weighting it.

    Parameters
    ----------
    data : ndarray or narwhals.DataFrame
        Rows of any shape and types.

    Returns
    -------
    CanonicalOrder
        Row positions, and the groups of equal rows.
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
        # + 0.0 turns -0.0 into 0.0. The high half of a product depends on every bit.
        numbers = np.ascontiguousarray(flat[start : start + chunk], dtype=np.float64) + 0.0
        mixed = numbers.view(np.uint64) * multipliers
        hashes[start : start + chunk] = ((mixed ^ (mixed >> np.uint64(32))) * multipliers).sum(1)
    return hashes


def _frame_bits(frame: nw.DataFrame[Any]) -> np.ndarray:
    return _array_bits(content_matrix(frame))


def content_matrix(data: np.ndarray | nw.DataFrame[Any]) -> np.ndarray:
    """Return one number per cell: numbers unchanged, and a hash for other values.

    Parameters
    ----------
    data : ndarray or narwhals.DataFrame
        Rows of any shape and types.

    Returns
    -------
    ndarray of shape (n_samples, n_columns)
        Equal numbers for equal cells, and NaN for missing cells.
    """
    if isinstance(data, nw.DataFrame):
        return np.column_stack([_ranks(column) for column in arrow_table(data).columns])
    return np.asarray(data.reshape(len(data), -1), dtype=np.float64)


def _ranks(column: pa.ChunkedArray) -> np.ndarray:
    """Return numbers unchanged, times as ticks, and a hash of other values."""
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
    """Return a hash of a value as a number, equal in every process."""
    digest = hashlib.blake2b(repr(value).encode("utf-8", "surrogatepass"), digest_size=6)
    return float(int.from_bytes(digest.digest(), "big"))


def _multipliers(n: int) -> np.ndarray:
    """Return n odd 64-bit numbers from a fixed seed."""
    numbers = np.random.default_rng(0x1A7E).integers(2**63, size=n, dtype=np.uint64)
    return numbers | np.uint64(1)
