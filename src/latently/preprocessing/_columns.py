"""Codecs by kind of column, which convert Arrow values to elements of the encoded row and back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from latently._layout import LikelihoodName
from latently._notices import warn_of_column
from latently.schema import ColumnType, as_numbers, is_empty, like_categories, plain, ticks_of

#: Seconds of a tick, by its unit.
SECONDS = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9}
#: Lengths of the cycles of instants in seconds: a day, a week, a year.
CYCLES = (86_400.0, 7 * 86_400.0, 365.2425 * 86_400.0)
DAY = CYCLES[0]
#: Largest tick of a date, and of any other time.
_LAST_DATE, _LAST_TICK = float(2**31 - 1), float(2**62)


class ColumnCodec(Protocol):
    """Protocol of the codec of one column."""

    @property
    def name(self) -> str: ...
    @property
    def position(self) -> int: ...
    @property
    def likelihood(self) -> LikelihoodName: ...
    @property
    def width(self) -> int: ...

    def encode(self, column: pa.ChunkedArray, *, fitting: bool) -> tuple[np.ndarray, np.ndarray]:
        """Return elements of shape (n, width) and the mask of observed cells of shape (n,)."""
        ...

    def decode(self, elements: np.ndarray) -> pa.Array:
        """Return values from expected elements of shape (n, width)."""
        ...


def observed_cells(column: pa.ChunkedArray) -> np.ndarray:
    """Return True for cells that hold a value."""
    valid: np.ndarray = column.is_valid().to_numpy(zero_copy_only=False)
    return valid


@dataclass(frozen=True)
class BooleanCodec:
    """Codec of booleans as one element, 1 for true and 0 for false."""

    name: str
    position: int
    likelihood: LikelihoodName = "bernoulli"
    width: int = 1

    def encode(self, column: pa.ChunkedArray, *, fitting: bool) -> tuple[np.ndarray, np.ndarray]:
        values = pc.fill_null(column, False).to_numpy(zero_copy_only=False)
        return values.astype(np.float64)[:, None], observed_cells(column)

    def decode(self, elements: np.ndarray) -> pa.Array:
        return pa.array(elements[:, 0] > 0.5)


@dataclass(frozen=True)
class CategoryCodec:
    """One-hot codec of categories, with a last element for unknown values.

    ``complete`` is False if ``fit`` saw more categories than it kept.
    """

    name: str
    position: int
    categories: tuple[str | int | float | bool, ...]
    likelihood: LikelihoodName = "categorical"
    complete: bool = True

    @property
    def width(self) -> int:
        return len(self.categories) + 1

    def encode(self, column: pa.ChunkedArray, *, fitting: bool) -> tuple[np.ndarray, np.ndarray]:
        column = like_categories(plain(column), self.categories, self.name)
        observed, codes = observed_cells(column), _codes(column, self.categories)
        unknown = observed & (codes < 0)
        if unknown.any() and not fitting:
            what = "never seen in fit" if self.complete else self._beyond
            _warn_unknown(self.name, column, unknown, what, "count as unknown")
        elements = np.zeros((len(codes), self.width))
        elements[np.arange(len(codes)), np.where(codes < 0, len(self.categories), codes)] = 1.0
        elements[~observed] = 0.0
        return elements, observed

    @property
    def _beyond(self) -> str:
        return f"that are not among the {len(self.categories):,} categories kept in fit"

    def decode(self, elements: np.ndarray) -> pa.Array:
        if not self.categories:
            return pa.nulls(len(elements), pa.string())
        return pa.array(self.categories).take(pa.array(elements[:, :-1].argmax(1)))


@dataclass(frozen=True)
class OrdinalCodec:
    """Codec of ordered categories: element k is 1 for categories above the k-th."""

    name: str
    position: int
    categories: tuple[str | int | float | bool, ...]
    likelihood: LikelihoodName = "bernoulli"

    @property
    def width(self) -> int:
        return max(1, len(self.categories) - 1)

    def encode(self, column: pa.ChunkedArray, *, fitting: bool) -> tuple[np.ndarray, np.ndarray]:
        column = like_categories(plain(column), self.categories, self.name)
        observed, codes = observed_cells(column), _codes(column, self.categories)
        unknown = observed & (codes < 0)
        if unknown.any():
            _warn_unknown(self.name, column, unknown, "never seen in fit", "count as missing")
        steps = np.arange(self.width)
        return (codes[:, None] > steps).astype(np.float64), observed & ~unknown

    def decode(self, elements: np.ndarray) -> pa.Array:
        if not self.categories:
            return pa.nulls(len(elements), pa.string())
        above = (elements > 0.5).sum(1)
        return pa.array(self.categories).take(pa.array(np.minimum(above, len(self.categories) - 1)))


@dataclass(frozen=True)
class TimeCodec:
    """Codec of dates, times and durations: one standardised number, and sine and cosine of cycles.

    The cycles (day, week, year) represent effects such as weekdays. The value is decoded from the
    number alone. Ticks are counted from the integer ``origin``, which keeps the precision of
    microseconds in any year.
    """

    name: str
    position: int
    seconds_per_tick: float
    center: float
    scale: float
    periods: tuple[float, ...]
    likelihood: LikelihoodName = "gaussian"
    origin: int = 0
    zone: str | None = None

    @property
    def width(self) -> int:
        return 1 + 2 * len(self.periods)

    @property
    def nanoseconds(self) -> int:
        """Length of a tick in nanoseconds."""
        return round(self.seconds_per_tick * 1e9)

    @property
    def unit(self) -> str:
        """Unit of the ticks: "ns", "us", "ms", "s", or "D" for days."""
        units = {**SECONDS, "D": DAY}
        return next(unit for unit, s in units.items() if s == self.seconds_per_tick)

    @property
    def ticks(self) -> float:
        """Standard deviation in ticks."""
        return self.scale / self.seconds_per_tick

    def encode(self, column: pa.ChunkedArray, *, fitting: bool) -> tuple[np.ndarray, np.ndarray]:
        ticks = ticks_of(column)
        seconds = ticks.since(self.origin, self.nanoseconds) * self.seconds_per_tick
        elements = [(seconds - self.center) / self.scale]
        for period in self.periods:
            angle = 2 * np.pi * ticks.phase(period) / period
            elements += [np.sin(angle), np.cos(angle)]
        return np.where(ticks.observed[:, None], np.stack(elements, 1), 0.0), ticks.observed

    def decode(self, elements: np.ndarray) -> pa.Array:
        return self.values(self.amounts(elements))

    def amounts(self, elements: np.ndarray) -> np.ndarray:
        """Return ticks since the origin in local time, from elements of shape (n, width)."""
        seconds = elements[:, 0].astype(np.float64) * self.scale + self.center
        ticks = seconds / self.seconds_per_tick
        return ticks if self.zone is None else self._moved(ticks, pc.local_timestamp)

    def element_of(self, amounts: np.ndarray) -> np.ndarray:
        """Return the standardised number, from finite ticks since the origin in local time."""
        ticks = amounts if self.zone is None else self._moved(amounts, self._from_clock)
        element: np.ndarray = (ticks * self.seconds_per_tick - self.center) / self.scale
        return element

    def seconds_ahead(self, elements: np.ndarray) -> np.ndarray:
        """Return the offset of local time from UTC in seconds, shape (n,)."""
        seconds = elements[:, 0].astype(np.float64) * self.scale + self.center
        ahead: np.ndarray = self.amounts(elements) * self.seconds_per_tick - seconds
        return ahead

    def values(self, amounts: np.ndarray) -> pa.Array:
        """Return integer ticks since 1970 or midnight from ticks since the origin."""
        if self.zone is not None:
            amounts = self._moved(amounts, self._from_clock)
        return pa.array(self._whole(amounts), mask=np.isnan(amounts))

    def _whole(self, amounts: np.ndarray) -> np.ndarray:
        limit = _LAST_DATE if self.seconds_per_tick == DAY else _LAST_TICK
        steps = np.clip(np.rint(np.nan_to_num(amounts)), -_LAST_TICK, _LAST_TICK)
        rough = steps + float(self.origin)
        whole = np.where(np.abs(rough) < limit, steps, 0.0).astype(np.int64) + self.origin
        answer: np.ndarray = np.where(
            np.abs(rough) < limit, whole, np.clip(rough, -limit, limit).astype(np.int64)
        )
        return answer

    def _moved(self, amounts: np.ndarray, move: Callable[[pa.Array], pa.Array]) -> np.ndarray:
        """Return ticks converted to or from local time, with unchanged fractions of a tick."""
        whole = self._whole(amounts)
        moments = pa.array(whole).cast(pa.timestamp(self.unit, self.zone))
        moved = move(moments).cast(pa.int64()).to_numpy(zero_copy_only=False)
        elsewhere: np.ndarray = amounts + (moved - whole)
        return elsewhere

    def _from_clock(self, moments: pa.Array) -> pa.Array:
        clock = moments.cast(pa.int64()).cast(pa.timestamp(self.unit))
        return pc.assume_timezone(clock, self.zone, ambiguous="earliest", nonexistent="latest")


def dictionary_values(column: pa.ChunkedArray) -> pa.Array:
    """Return the categories of a dictionary column, in their order."""
    if column.num_chunks == 0:
        return pa.array([], column.type.value_type)
    return column.unify_dictionaries().chunk(0).dictionary


def _codes(column: pa.ChunkedArray, categories: tuple[str | int | float | bool, ...]) -> np.ndarray:
    """Return the index of each value among the categories, and -1 for unknown or missing ones."""
    if not categories or pa.types.is_null(column.type):
        return np.full(len(column), -1)
    codes = pc.fill_null(pc.index_in(column, value_set=pa.array(categories)), -1)
    places: np.ndarray = codes.to_numpy(zero_copy_only=False).astype(np.int64)
    places[~observed_cells(column)] = -1
    return places


def _warn_unknown(
    name: str, column: pa.ChunkedArray, unknown: np.ndarray, what: str, fate: str
) -> None:
    example = f"for example {column[int(np.flatnonzero(unknown)[0])].as_py()!r:.60}"
    warn_of_column(
        repr(name),
        f"holds values {what}; they {fate}",
        alone=f"holds {{n}} values {what}, {example}; they {fate}",
        detail=f"{{n}}, {example}",
        n_cells=int(unknown.sum()),
    )


def number_matrix(
    arrow: pa.Table, positions: np.ndarray, types: Sequence[ColumnType] = ()
) -> np.ndarray:
    """Return the numeric columns as a float64 matrix, with NaN for missing cells."""
    numbers = np.empty((arrow.num_rows, len(positions)), dtype=np.float64)
    names = arrow.column_names  # a new list at each call
    for place, position in enumerate(positions):
        column = arrow.column(int(position))
        if is_empty(column):
            numbers[:, place] = np.nan
            continue
        kind = types[position].name if types else "double"  # a model of an array has no types
        values = as_numbers(plain(column), names[position], kind)
        numbers[:, place] = pc.fill_null(values.cast(pa.float64(), safe=False), np.nan).to_numpy()
    return numbers
