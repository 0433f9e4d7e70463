"""Statistics of each column for ``fit``, gathered in pieces of a table that need not fit memory."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from latently._notices import warn_of_column
from latently.preprocessing._columns import (
    CYCLES,
    DAY,
    SECONDS,
    BooleanCodec,
    CategoryCodec,
    ColumnCodec,
    OrdinalCodec,
    TimeCodec,
    dictionary_values,
    number_matrix,
)
from latently.schema import (
    ColumnType,
    Evidence,
    Support,
    TableSpec,
    arrow_type,
    evidence_of,
    plain,
    support_of,
    ticks_of,
)

#: Default number of categories of a text column. Other values are encoded as unknown.
MAX_CATEGORIES = 100
#: Number of distinct values of a text column that are counted. Beyond it the rarest are dropped.
_MAX_COUNTED = 10_000


class Moments(NamedTuple):
    """Moments of the columns of a matrix without NaN, which can be joined over parts [1]_.

    Attributes
    ----------
    n_rows : int
        Number of rows.
    n_values, center, squares, low, high : ndarray of shape (n_columns,)
        Number of values of each column, their mean, the sum of squared differences from it, the
        smallest and the largest value. Mean and ends are NaN for a column without values.
    all_binary : bool
        True if every value is 0 or 1.

    References
    ----------
    .. [1] Chan, Golub and LeVeque (1983), Algorithms for Computing the Sample Variance.
    """

    n_rows: int
    n_values: np.ndarray
    center: np.ndarray
    squares: np.ndarray
    low: np.ndarray
    high: np.ndarray
    all_binary: bool

    @classmethod
    def of(cls, numbers: np.ndarray) -> Moments:
        """Return the moments of a matrix of at least one row."""
        values = numbers.astype(np.float64, copy=False)
        count = (~np.isnan(values)).sum(0)
        low, high = np.fmin.reduce(values, axis=0), np.fmax.reduce(values, axis=0)
        with np.errstate(over="ignore", invalid="ignore"):
            # Relative to the lowest value: exact, and without overflow, for a constant column.
            center = low + np.nansum(values - low, 0) / np.maximum(count, 1)
            squares = np.nansum(np.square(values - center), 0)
        ends = low[count > 0], high[count > 0]
        unit = bool((ends[0] >= 0).all() and (ends[1] <= 1).all())
        binary = unit and bool(((values == 0) | (values == 1) | np.isnan(values)).all())
        return cls(len(values), count, center, squares, low, high, binary)

    def joined(self, other: Moments) -> Moments:
        """Return the moments of the rows of two matrices."""
        count = self.n_values + other.n_values
        share = other.n_values / np.maximum(count, 1)
        apart = np.where(
            (self.n_values > 0) & (other.n_values > 0), other.center - self.center, 0.0
        )
        start = np.where(self.n_values > 0, self.center, other.center)
        return Moments(
            self.n_rows + other.n_rows,
            count,
            start + apart * share,
            self.squares + other.squares + np.square(apart) * self.n_values * share,
            np.fmin(self.low, other.low),
            np.fmax(self.high, other.high),
            self.all_binary and other.all_binary,
        )

    def moved(self, by: np.ndarray) -> Moments:
        """Return the moments of the same rows with a number added to each column."""
        return self._replace(center=self.center + by, low=self.low + by, high=self.high + by)

    @property
    def scale(self) -> np.ndarray:
        """Standard deviation of each column, or one for a constant column.

        A column counts as constant if its standard deviation is at most twice the spacing of
        floats at its mean.
        """
        scale = np.sqrt(self.squares / np.maximum(self.n_values, 1))
        return np.where(scale > 2 * np.spacing(np.abs(self.center)), scale, 1.0)


def joined(first: Moments | None, second: Moments | None) -> Moments | None:
    """Return the moments of two matrices, of which either may be None."""
    if first is None or second is None:
        return first or second
    return first.joined(second)


def listed(moments: Moments | None) -> list[Any] | None:
    """Return moments as a list of plain values and arrays."""
    return None if moments is None else list(moments)


def unlisted(values: list[Any] | None) -> Moments | None:
    """Return the moments from the result of ``listed``."""
    return None if values is None else Moments(*values)


class Tally(ABC):
    """Statistics of one column, from which its codec is made."""

    def __init__(
        self, name: str, position: int, kind: ColumnType, max_categories: int = MAX_CATEGORIES
    ) -> None:
        self.name, self.position, self.kind = name, position, kind
        self.max_categories = max_categories
        self.n_rows = self.n_values = 0

    def update(self, column: pa.ChunkedArray) -> None:
        """Add the next rows of the column."""
        self.n_rows += len(column)
        self.n_values += len(column) - int(plain(column).null_count)

    def state(self) -> dict[str, Any]:
        """Return the statistics, to be merged into a tally of other rows."""
        return {"n_rows": self.n_rows, "n_values": self.n_values}

    def merge(self, state: Mapping[str, Any]) -> None:
        """Add the statistics of other rows."""
        self.n_rows += state["n_rows"]
        self.n_values += state["n_values"]

    @property
    def gaps(self) -> float:
        """Share of missing cells."""
        return 1 - self.n_values / self.n_rows if self.n_rows else 0.0

    @abstractmethod
    def codec(self) -> ColumnCodec:
        """Return the codec of all rows seen."""


class BooleanTally(Tally):
    """Statistics of a boolean column."""

    def codec(self) -> BooleanCodec:
        return BooleanCodec(self.name, self.position)


class OrdinalTally(Tally):
    """Categories of an ordered column, in their order."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._levels: dict[str | int | float | bool, None] = {}

    def update(self, column: pa.ChunkedArray) -> None:
        super().update(column)
        self._levels |= dict.fromkeys(dictionary_values(column).to_pylist())

    def state(self) -> dict[str, Any]:
        return {**super().state(), "levels": list(self._levels)}

    def merge(self, state: Mapping[str, Any]) -> None:
        super().merge(state)
        self._levels |= dict.fromkeys(state["levels"])

    def codec(self) -> OrdinalCodec:
        return OrdinalCodec(self.name, self.position, tuple(self._levels))


class CategoryTally(Tally):
    """Counts of the values of a column, and the categories of a dictionary column.

    Counts are exact up to 10,000 distinct values. Beyond that the rarest are dropped by lossy
    counting [1]_. Frequent values are kept, with counts that may be slightly too low.

    References
    ----------
    .. [1] Manku and Motwani (2002), Approximate Frequency Counts over Data Streams.
    """

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._levels: dict[str | int | float | bool, None] = {}
        self._counts: pa.Table | None = None
        self._dropped = 0
        self._named = self.kind.name == "dictionary"

    def update(self, column: pa.ChunkedArray) -> None:
        super().update(column)
        self._named = self._named and pa.types.is_dictionary(column.type)
        if self._named and len(self._levels) <= self.max_categories:
            self._levels |= dict.fromkeys(dictionary_values(column).to_pylist())
        self._count(plain(column).drop_null())

    def state(self) -> dict[str, Any]:
        counted = None if self._counts is None else self._counts.to_pydict()
        found = {"levels": list(self._levels), "named": self._named, "dropped": self._dropped}
        return {**super().state(), **found, "counts": counted}

    def merge(self, state: Mapping[str, Any]) -> None:
        super().merge(state)
        self._named = self._named and state["named"]
        self._levels |= dict.fromkeys(state["levels"])
        self._dropped += state["dropped"]
        if state["counts"] is not None:
            self._add(pa.table(state["counts"]))

    def _count(self, values: pa.ChunkedArray) -> None:
        found = pc.value_counts(values)
        self._add(pa.table({"value": found.field("values"), "n": found.field("counts")}))

    def _add(self, new: pa.Table) -> None:
        """Add counts, and drop the rarest values if there are too many."""
        if self._counts is not None:
            both = pa.concat_tables([self._counts, new], promote_options="permissive")
            summed = both.group_by("value").aggregate([("n", "sum")])
            new = summed.rename_columns({"n_sum": "n"})
        if new.num_rows > _MAX_COUNTED:
            kept = new.sort_by([("n", "descending")]).slice(0, _MAX_COUNTED // 2)
            self._dropped += new.num_rows - kept.num_rows
            new = kept
        self._counts = new

    def codec(self) -> CategoryCodec:
        if self._named and len(self._levels) <= self.max_categories and None not in self._levels:
            return CategoryCodec(self.name, self.position, tuple(self._levels))
        counted = [] if self._counts is None else self._counts.to_pylist()
        pairs = sorted(counted, key=lambda pair: (-pair["n"], pair["value"]))
        kept = sorted(pair["value"] for pair in pairs[: self.max_categories])
        is_cut = len(pairs) > self.max_categories
        if is_cut:
            self._warn(len(pairs), sum(pair["n"] for pair in pairs[: self.max_categories]))
        return CategoryCodec(self.name, self.position, tuple(kept), complete=not is_cut)

    def _warn(self, n_different: int, n_known: int) -> None:
        more = "more than " if self._dropped else ""
        n_unknown = f"{self.n_values - n_known:,} cells"
        kept = f"the {self.max_categories:,} most frequent are kept"
        remedy = "Leave out identifiers and free text, or raise max_categories of the autoencoder"
        warn_of_column(
            repr(self.name),
            f"holds more than {self.max_categories:,} different values; {kept}, the others count "
            f"as unknown. {remedy}",
            alone=f"holds {more}{n_different:,} different values; {kept}, {n_unknown} count as "
            f"unknown. {remedy}",
            detail=f"{more}{n_different:,} values, {n_unknown} unknown",
        )


class TimeTally(Tally):
    """Moments of a column of times and of their phases in each cycle."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        unit = self.kind.unit or "ms"
        self._seconds_per_tick = DAY if self.kind.name == "date32" else SECONDS[unit]
        self._moments: Moments | None = None
        self._is_instant = self.kind.name in ("timestamp", "date32", "date64")
        self.origin = 0
        self.evidence = Evidence(round(self._seconds_per_tick * 1e9), self._is_instant)

    def update(self, column: pa.ChunkedArray) -> None:
        super().update(column)
        if column.type != arrow_type(self.kind):
            column = column.cast(arrow_type(self.kind), safe=False)
        ticks = ticks_of(column)
        if not ticks.observed.any():
            self.evidence.update(ticks.counts[:0], len(column))
            return
        if self._moments is None:
            self.origin = int(ticks.counts[ticks.observed].min())
        seconds = ticks.since(self.origin, ticks.nanoseconds) * self._seconds_per_tick
        phases = (ticks.phase(cycle) for cycle in CYCLES)
        new = Moments.of(np.stack([seconds, *phases], 1)[ticks.observed])
        self._moments = joined(self._moments, new)
        clock = column if self.kind.zone is None else pc.local_timestamp(column)
        self.evidence.update(ticks_of(clock).counts[ticks.observed], len(column))

    def state(self) -> dict[str, Any]:
        gathered = {"moments": listed(self._moments), "evidence": self.evidence.state()}
        return {**super().state(), **gathered, "origin": self.origin}

    def merge(self, state: Mapping[str, Any]) -> None:
        super().merge(state)
        self.evidence.merge(state["evidence"])
        moments = unlisted(state["moments"])
        if self._moments is None:
            self.origin, self._moments = state["origin"], moments
        elif moments is not None:
            apart = (state["origin"] - self.origin) * self._seconds_per_tick
            moved = np.array([apart] + [0.0] * len(CYCLES))
            self._moments = self._moments.joined(moments.moved(moved))

    def codec(self) -> TimeCodec:
        named = self.name, self.position, self._seconds_per_tick
        zone = self.kind.zone
        if self._moments is None:
            return TimeCodec(*named, 0.0, 1.0, (), zone=zone)
        found = self._moments
        span, *turns = (found.high - found.low).tolist()
        # A cycle longer than the span, or with one phase for all times, has no information.
        shown = [c for c, turn in zip(CYCLES, turns, strict=True) if span >= c and turn > 0]
        scale = math.sqrt(found.squares[0] / found.n_values[0]) or 1.0
        periods = tuple(shown) if self._is_instant else ()
        return TimeCodec(
            *named, float(found.center[0]), scale, periods, "gaussian", self.origin, zone
        )


class TableTally:
    """Statistics of a table: moments of its numeric columns, and a tally of each other column."""

    def __init__(
        self, spec: TableSpec, schema: pa.Schema, max_categories: int = MAX_CATEGORIES
    ) -> None:
        self.spec = spec
        self.tallies: list[Tally] = []
        numbers = []
        for position, (name, kind) in enumerate(zip(spec.names or (), spec.types, strict=True)):
            tally = _tally_of(kind, schema.field(position).type)
            if tally is None:
                numbers.append(position)
            else:
                self.tallies.append(tally(name, position, kind, max_categories))
        self.positions = np.array(numbers, dtype=np.intp)
        self.moments: Moments | None = None
        self.evidence = [Evidence() for _ in numbers]

    @classmethod
    def of_array(cls, spec: TableSpec, numbers: np.ndarray) -> Self:
        """Return the tally of an array."""
        tally = cls(spec, pa.schema([]))
        tally.positions = np.arange(numbers.shape[1])
        tally.moments, tally.evidence = Moments.of(numbers), evidence_of(numbers)
        return tally

    def update(self, arrow: pa.Table) -> Self:
        """Add the next rows."""
        matrix = number_matrix(arrow, self.positions, self.spec.types)
        self.moments = joined(self.moments, Moments.of(matrix))
        evidence_of(matrix, self.evidence)
        for tally in self.tallies:
            tally.update(arrow.column(tally.position))
        return self

    def state(self) -> dict[str, Any]:
        """Return the statistics as plain values and arrays, to be merged into another tally."""
        return {
            "moments": listed(self.moments),
            "evidence": [one.state() for one in self.evidence],
            "tallies": [tally.state() for tally in self.tallies],
        }

    def merge(self, state: Mapping[str, Any]) -> Self:
        """Add the statistics of other rows of the same columns."""
        self.moments = joined(self.moments, unlisted(state["moments"]))
        for evidence, one in zip(self.evidence, state["evidence"], strict=True):
            evidence.merge(one)
        for tally, one in zip(self.tallies, state["tallies"], strict=True):
            tally.merge(one)
        return self

    @property
    def empty_columns(self) -> Iterable[str]:
        """Names of the non-numeric columns in which no cell holds a value."""
        return (tally.name for tally in self.tallies if not tally.n_values)

    def codecs(self) -> tuple[ColumnCodec, ...]:
        """Return the codecs of the non-numeric columns, in encoded order."""
        kinds = ("gaussian", "bernoulli", "categorical")
        found = [tally.codec() for tally in self.tallies]
        return tuple(sorted(found, key=lambda c: (kinds.index(c.likelihood), c.width)))

    def support(self, codecs: tuple[ColumnCodec, ...], *, masses: bool) -> Support:
        """Return the support of the columns.

        Parameters
        ----------
        codecs : tuple of ColumnCodec
            Codecs as ``codecs`` returned them.
        masses : bool
            If True, numeric columns may have point masses.
        """
        tallies = {tally.position: tally for tally in self.tallies}
        chosen = [(codec, tallies[codec.position]) for codec in codecs]
        timed = [(c, t) for c, t in chosen if isinstance(c, TimeCodec) and isinstance(t, TimeTally)]
        evidence = [*self.evidence, *(tally.evidence for _, tally in timed)]
        assert self.moments is not None
        n_rows = max(self.moments.n_rows, 1)
        gaps = 1 - self.moments.n_values / n_rows
        spreads = [codec.ticks for codec, _ in timed]
        n_numbers = len(self.evidence)
        return support_of(
            evidence,
            [0] * n_numbers + [codec.origin for codec, _ in timed],
            np.concatenate([self.moments.scale, spreads]),
            np.concatenate([gaps, [tally.gaps for _, tally in chosen]]),
            [masses] * n_numbers + [True] * len(timed),
        )


def _tally_of(kind: ColumnType, arrow: pa.DataType) -> type[Tally] | None:
    """Return the class of tally of a column, or None for numbers."""
    if kind.name == "bool":
        return BooleanTally
    if kind.name == "dictionary" and kind.ordered:
        return OrdinalTally
    if kind.name in ("dictionary", "string", "large_string"):
        return CategoryTally
    return TimeTally if pa.types.is_temporal(arrow) else None
