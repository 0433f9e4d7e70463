"""One codec a kind of column: Arrow values <-> elements of the encoded row, both ways."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from latently._spec import ColumnType, LikelihoodName
from latently.exceptions import DataWarning

_SECONDS = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9}
_DAY, _WEEK, _YEAR = 86_400.0, 7 * 86_400.0, 365.2425 * 86_400.0


class ColumnCodec(Protocol):
    """What a codec of one column can do."""

    @property
    def name(self) -> str: ...
    @property
    def position(self) -> int: ...
    @property
    def likelihood(self) -> LikelihoodName: ...
    @property
    def width(self) -> int: ...

    def encode(self, column: pa.ChunkedArray, *, fitting: bool) -> tuple[np.ndarray, np.ndarray]:
        """Return elements (n, width) and observed (n,)."""
        ...

    def decode(self, elements: np.ndarray) -> pa.Array:
        """Return values from expected elements (n, width)."""
        ...


def observed_cells(column: pa.ChunkedArray) -> np.ndarray:
    """Return True where a cell holds a value."""
    valid: np.ndarray = column.is_valid().to_numpy(zero_copy_only=False)
    return valid


@dataclass(frozen=True)
class BooleanCodec:
    """True and false as one element, 1 and 0."""

    name: str
    position: int
    likelihood: LikelihoodName = "bernoulli"
    width: int = 1

    @classmethod
    def fit(cls, name: str, position: int) -> BooleanCodec:
        return cls(name, position)

    def encode(self, column: pa.ChunkedArray, *, fitting: bool) -> tuple[np.ndarray, np.ndarray]:
        values = pc.fill_null(column.cast(pa.bool_()), False).to_numpy(zero_copy_only=False)
        return values.astype(np.float64)[:, None], observed_cells(column)

    def decode(self, elements: np.ndarray) -> pa.Array:
        return pa.array(elements[:, 0] > 0.5)


@dataclass(frozen=True)
class CategoryCodec:
    """A category as one element each, and a last one for values never seen in ``fit``."""

    name: str
    position: int
    categories: tuple[str | int | float | bool, ...]
    likelihood: LikelihoodName = "categorical"

    @property
    def width(self) -> int:
        return len(self.categories) + 1

    @classmethod
    def fit(
        cls, name: str, position: int, column: pa.ChunkedArray, max_categories: int
    ) -> CategoryCodec:
        if pa.types.is_dictionary(column.type):
            levels = dictionary_values(column).to_pylist()
            if len(levels) <= max_categories and None not in levels:
                return cls(name, position, tuple(levels))
        counts = pc.value_counts(plain(column).drop_null())
        pairs = sorted(counts.to_pylist(), key=lambda pair: (-pair["counts"], pair["values"]))
        if len(pairs) > max_categories:
            rest = sum(pair["counts"] for pair in pairs[max_categories:])
            warnings.warn(
                f"Column {name!r} holds {len(pairs):,} different values; the {max_categories} most "
                f"frequent are kept, {rest:,} cells count as unknown. Leave the column out if it "
                "is an identifier or free text.",
                DataWarning,
                stacklevel=2,
            )
        return cls(name, position, tuple(sorted(p["values"] for p in pairs[:max_categories])))

    def encode(self, column: pa.ChunkedArray, *, fitting: bool) -> tuple[np.ndarray, np.ndarray]:
        column, observed = plain(column), observed_cells(column)
        codes = _codes(column, self.categories)
        unknown = observed & (codes < 0)
        if unknown.any() and not fitting:
            _warn_unknown(self.name, column, unknown, "count as unknown")
        elements = np.zeros((len(codes), self.width))
        elements[np.arange(len(codes)), np.where(codes < 0, len(self.categories), codes)] = 1.0
        elements[~observed] = 0.0
        return elements, observed

    def decode(self, elements: np.ndarray) -> pa.Array:
        if not self.categories:
            return pa.nulls(len(elements), pa.string())
        return pa.array(self.categories).take(pa.array(elements[:, :-1].argmax(1)))


@dataclass(frozen=True)
class OrdinalCodec:
    """An ordered category as a thermometer: one element says whether it lies above each step."""

    name: str
    position: int
    categories: tuple[str | int | float | bool, ...]
    likelihood: LikelihoodName = "bernoulli"

    @property
    def width(self) -> int:
        return max(1, len(self.categories) - 1)

    @classmethod
    def fit(cls, name: str, position: int, column: pa.ChunkedArray) -> OrdinalCodec:
        return cls(name, position, tuple(dictionary_values(column).to_pylist()))

    def encode(self, column: pa.ChunkedArray, *, fitting: bool) -> tuple[np.ndarray, np.ndarray]:
        column, observed = plain(column), observed_cells(column)
        codes = _codes(column, self.categories)
        unknown = observed & (codes < 0)
        if unknown.any():
            _warn_unknown(self.name, column, unknown, "count as missing")
        steps = np.arange(self.width)
        return (codes[:, None] > steps).astype(np.float64), observed & ~unknown

    def decode(self, elements: np.ndarray) -> pa.Array:
        above = (elements > 0.5).sum(1)
        return pa.array(self.categories).take(pa.array(np.minimum(above, len(self.categories) - 1)))


@dataclass(frozen=True)
class TimeCodec:
    """A date, time or duration as one standardised number, and the cycles that its span shows.

    The cycles (day, week, year) let a network see that Mondays differ from Sundays; the value
    itself comes back from the number alone.
    """

    name: str
    position: int
    seconds_per_tick: float
    center: float
    scale: float
    periods: tuple[float, ...]
    likelihood: LikelihoodName = "gaussian"

    @property
    def width(self) -> int:
        return 1 + 2 * len(self.periods)

    @classmethod
    def fit(cls, name: str, position: int, column: pa.ChunkedArray, kind: ColumnType) -> TimeCodec:
        seconds_per_tick = _DAY if kind.name == "date32" else _SECONDS[kind.unit or "ms"]
        codec = cls(name, position, seconds_per_tick, 0.0, 1.0, ())
        ticks, observed = ticks_of(column)
        if not observed.any():
            return codec
        seconds = ticks[observed] * seconds_per_tick
        center, scale = float(seconds.mean()), float(seconds.std())
        is_moment = kind.name in ("timestamp", "date32", "date64")
        periods = _periods(seconds) if is_moment else ()
        return replace(codec, center=center, scale=scale or 1.0, periods=periods)

    def encode(self, column: pa.ChunkedArray, *, fitting: bool) -> tuple[np.ndarray, np.ndarray]:
        ticks, observed = ticks_of(column)
        seconds = ticks * self.seconds_per_tick
        elements = [(seconds - self.center) / self.scale]
        for period in self.periods:
            angle = 2 * np.pi * (seconds % period) / period
            elements += [np.sin(angle), np.cos(angle)]
        return np.where(observed[:, None], np.stack(elements, 1), 0.0), observed

    def decode(self, elements: np.ndarray) -> pa.Array:
        seconds = elements[:, 0].astype(np.float64) * self.scale + self.center
        ticks = np.rint(seconds / self.seconds_per_tick)
        limit = float(2**31 - 1) if self.seconds_per_tick == _DAY else float(2**62)
        return pa.array(np.clip(ticks, -limit, limit).astype(np.int64))


def _periods(seconds: np.ndarray) -> tuple[float, ...]:
    """Return the cycles that these moments run through, at more than one phase."""
    span = float(np.ptp(seconds))
    cycles = [
        period
        for period in (_DAY, _WEEK, _YEAR)
        if span >= period and float(np.ptp(seconds % period)) > 0
    ]
    return tuple(cycles)


def ticks_of(column: pa.ChunkedArray) -> tuple[np.ndarray, np.ndarray]:
    """Return whole ticks of the column's unit as floats, and which cells hold one."""
    whole = (
        column.cast(pa.int32())
        if column.type in (pa.date32(), pa.time32("s"), pa.time32("ms"))
        else column
    )
    ticks = pc.fill_null(whole.cast(pa.int64()), 0).to_numpy(zero_copy_only=False)
    return ticks.astype(np.float64), observed_cells(column)


def plain(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return a dictionary column as a column of its values, any other as it is."""
    kind = column.type
    return column.cast(kind.value_type) if pa.types.is_dictionary(kind) else column


def dictionary_values(column: pa.ChunkedArray) -> pa.Array:
    """Return the categories of a dictionary column, in their order."""
    if column.num_chunks == 0:
        return pa.array([], column.type.value_type)
    return column.unify_dictionaries().chunk(0).dictionary


def _is_text(kind: pa.DataType) -> bool:
    text: bool = pa.types.is_string(kind) or pa.types.is_large_string(kind)
    return text or kind == pa.string_view()


def _codes(column: pa.ChunkedArray, categories: tuple[str | int | float | bool, ...]) -> np.ndarray:
    """Return the place of each value among the categories, -1 where it has none."""
    if not categories or pa.types.is_null(column.type):
        return np.full(len(column), -1)
    known = pa.array(categories)
    if pa.types.is_string(known.type) != _is_text(column.type):
        raise pa.ArrowTypeError("text and other values do not compare")
    if _is_text(column.type):
        column = column.cast(pa.string())
    codes = pc.fill_null(pc.index_in(column, value_set=known.cast(column.type)), -1)
    places: np.ndarray = codes.to_numpy(zero_copy_only=False).astype(np.int64)
    places[~observed_cells(column)] = -1
    return places


def _warn_unknown(name: str, column: pa.ChunkedArray, unknown: np.ndarray, fate: str) -> None:
    example = column[int(np.flatnonzero(unknown)[0])].as_py()
    warnings.warn(
        f"Column {name!r} holds {int(unknown.sum()):,} values never seen in fit, for example "
        f"{example!r}; they {fate}.",
        DataWarning,
        stacklevel=2,
    )


def spread_of(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return centre and scale of each numeric column, NaN left out; a scale is never zero.

    A column of one value has scale one; so has a column whose spread is lost in rounding. The
    centre of a column without any value is NaN: nothing is known of it, now or later.
    """
    count = (~np.isnan(values)).sum(0)
    at_least_one = np.maximum(count, 1)
    # From the lowest value up: exact for a constant column, and no sum of it overflows.
    low = np.fmin.reduce(values, axis=0)
    center = low + np.nansum(values - low, 0) / at_least_one
    scale = np.sqrt(np.nansum(np.square(values - center), 0) / at_least_one)
    rounding = 10 * np.finfo(values.dtype).eps * np.abs(center) * math.sqrt(max(len(values), 1))
    return center, np.where(scale > rounding, scale, 1.0)
