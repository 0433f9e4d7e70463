"""Encoding of tables as float matrices, and decoding of model outputs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import chain, groupby
from typing import Any

import narwhals as nw
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from latently._layout import Block, Layout, LikelihoodChoice, LikelihoodName
from latently._notices import joined, warn, warn_columns
from latently._validation import compare_names
from latently.exceptions import DataError
from latently.preprocessing._columns import ColumnCodec, TimeCodec, number_matrix
from latently.preprocessing._consistency import check_moments, check_support, check_table
from latently.preprocessing._far import FAR, compress_far
from latently.preprocessing._scaling import Scaling
from latently.preprocessing._tallies import MAX_CATEGORIES, Moments, TableTally
from latently.schema import (
    Rounding,
    Support,
    TableSpec,
    arrow_table,
    conform,
    container_of,
    frame_like,
    native_frame,
    rounded,
    table_spec,
    typed_column,
)

Table = np.ndarray | nw.DataFrame[Any]

#: Training numbers from here on, in standard deviations, are too large for single precision.
_LARGEST = float(np.finfo(np.float32).max) / 4
#: Numbers that are scaled at once. A block of this size fits into the processor cache.
_BLOCK_ELEMENTS = 1 << 16
#: Likelihoods of numbers that are not scaled.
_IN_UNIT_INTERVAL = ("bernoulli", "continuous_bernoulli")

#: Direction in which numbers without a grid are moved by the rounding error of scaling.
_PUSHES: dict[Rounding, int] = {"nearest": 0, "down": -1, "up": 1}
#: Digits of a short number, from the first digit of the scale, and rounding error of scaling.
_DIGITS, _ROUNDING = 8, 1e-12


@dataclass(frozen=True, eq=False)
class TablePreprocessor:
    """Encode a table as a float matrix, and decode model outputs to rows of the table.

    Columns are encoded by kind (numbers, times, booleans, ordered, categories), so that each
    likelihood applies to adjacent elements. ``order`` holds the user's position of each column.

    Parameters
    ----------
    spec : TableSpec
        Record of the table in ``fit``.
    positions : ndarray of shape (n_numbers,)
        Positions of the numeric columns.
    center, scale : ndarray of shape (n_numbers,)
        Subtracted from the numbers, and divisor of them.
    number_likelihood : {"gaussian", "bernoulli", "continuous_bernoulli"}
        Likelihood of the numbers.
    codecs : tuple of ColumnCodec
        Codecs of the other columns, in encoded order.
    grey : bool, default=False
        True if numbers with a Bernoulli likelihood are not all zero or one, as for pixels.
    support : Support or None, default=None
        Values that the columns can hold. None, as in old model files, does not round outputs.
    """

    spec: TableSpec
    positions: np.ndarray
    center: np.ndarray
    scale: np.ndarray
    number_likelihood: LikelihoodName
    codecs: tuple[Any, ...] = ()
    grey: bool = False
    support: Support | None = None

    def check_consistent(self) -> None:
        """Raise DataError if the parts are inconsistent, as in a damaged model file."""
        check_table(self.spec, self.positions, self.center, self.scale, self.codecs)
        if self.support is not None:
            self.support.check_consistent()
            check_support(self.spec, self.support, len(self.positions), self.codecs)
            check_moments(self.support, self.center, self.scale, self.codecs)

    @classmethod
    def fit(
        cls,
        table: Table,
        likelihood: LikelihoodChoice = "auto",
        max_categories: int = MAX_CATEGORIES,
    ) -> TablePreprocessor:
        """Choose the scaling, encoding and likelihood of each column from a table.

        Parameters
        ----------
        table : ndarray of shape (n_samples, n_features) or narwhals.DataFrame
            Training rows.
        likelihood : {"auto", "gaussian", "bernoulli", ...}, default="auto"
            Likelihood of the numbers.
        max_categories : int, default=100
            Largest number of categories of a column. Rarer values are encoded as unknown.

        Returns
        -------
        TablePreprocessor
            The fitted preprocessor.
        """
        if isinstance(table, np.ndarray):
            tally = TableTally.of_array(TableSpec("numpy", str(table.dtype)), table)
            return cls._of_tally(tally, likelihood)
        arrow = arrow_table(table)
        tally = TableTally(table_spec(table, arrow), arrow.schema, max_categories)
        return cls._of_tally(tally.update(arrow), likelihood)

    @classmethod
    def fit_pieces(
        cls, pieces: Iterable[pa.Table], likelihood: LikelihoodChoice = "auto"
    ) -> TablePreprocessor:
        """Choose scaling, encoding and likelihood from pieces of a table in one pass.

        Parameters
        ----------
        pieces : iterable of pyarrow.Table
            Tables of the same columns and types, with at least one row.
        likelihood : {"auto", "gaussian", "bernoulli", ...}, default="auto"
            Likelihood of the numbers.

        Returns
        -------
        TablePreprocessor
            Equal to ``fit`` on all rows, except for rounding errors of means and deviations and
            for the counts of rare texts.
        """
        waiting = iter(pieces)
        first = next(waiting)

        def placed() -> Iterator[tuple[int, pa.Table]]:
            start = 0
            for piece in chain([first], waiting):
                yield start, piece
                start += piece.num_rows

        return cls.of_tallies(first.schema, [tallied(first.schema, placed())], likelihood)

    @classmethod
    def of_tallies(
        cls,
        schema: pa.Schema,
        states: Iterable[Mapping[str, Any]],
        likelihood: LikelihoodChoice = "auto",
        max_categories: int = MAX_CATEGORIES,
    ) -> TablePreprocessor:
        """Choose scaling, encoding and likelihood from the statistics of parts of a table.

        Parameters
        ----------
        schema : pyarrow.Schema
            Columns and types.
        states : iterable of dict
            Statistics from ``tallied``, one for each part.
        likelihood : {"auto", "gaussian", "bernoulli", ...}, default="auto"
            Likelihood of the numbers.
        max_categories : int, default=100
            Largest number of categories of a column. Rarer values are encoded as unknown.

        Returns
        -------
        TablePreprocessor
            Equal to ``fit`` on all rows, except for rounding errors of means and deviations and
            for the counts of rare texts.
        """
        tally = _tally_of_schema(schema, max_categories)
        for part in states:
            tally.merge(part)
        return cls._of_tally(tally, likelihood)

    @classmethod
    def _of_tally(cls, tally: TableTally, likelihood: LikelihoodChoice) -> TablePreprocessor:
        assert tally.moments is not None
        spec, positions, moments = tally.spec, tally.positions, tally.moments
        with joined():
            codecs = tally.codecs()
        empty = [_called(spec, int(place)) for place in positions[moments.n_values == 0]]
        warn_columns(
            [*empty, *tally.empty_columns], "hold no value at all", "Leave them out of the table."
        )
        chosen: LikelihoodName = _number_likelihood(moments, likelihood)
        center, scale = moments.center, moments.scale
        if chosen == "gaussian" and _number_likelihood(moments, "auto") == "bernoulli":
            # Numbers on a common scale keep it: a pixel of low variance is not more important.
            scale = np.full_like(scale, np.sqrt(np.mean(np.square(scale))))
        if chosen in _IN_UNIT_INTERVAL:
            center, scale = np.where(np.isnan(center), np.nan, 0.0), np.ones_like(scale)
        too_large = np.isinf(center) | ~np.isfinite(scale)
        if too_large.any():
            position = int(positions[np.flatnonzero(too_large)[0]])
            raise DataError(
                f"Column {column_name(spec, position)} holds values too large to scale. "
                "Take their logarithm, or look for wrong cells."
            )
        grey = chosen == "bernoulli" and not moments.all_binary
        support = tally.support(codecs, masses=chosen == "gaussian")
        return cls(spec, positions, center, scale, chosen, codecs, grey, support)

    @property
    def order(self) -> np.ndarray:
        """The user's position of each encoded column, shape (n_columns,)."""
        rest = [codec.position for codec in self.codecs]
        return np.concatenate([self.positions, np.array(rest, dtype=np.intp)])

    @property
    def layout(self) -> Layout:
        """Layout of the columns in the encoded row."""
        n_numbers = len(self.positions)
        blocks = [Block(self.number_likelihood, 1, n_numbers)] if n_numbers else []
        for (likelihood, width), run in groupby(self.codecs, lambda c: (c.likelihood, c.width)):
            blocks.append(Block(likelihood, width, len(list(run))))
        return Layout((sum(b.width * b.n_columns for b in blocks),), tuple(blocks))

    @property
    def column_names(self) -> tuple[str, ...]:
        """Names of the columns in the user's order, or ``x0``, ``x1`` and so on for arrays."""
        return self.spec.names or tuple(f"x{i}" for i in range(len(self.order)))

    def encode(
        self, table: Table, *, fitting: bool = False
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """Return the encoded matrix and the mask of observed cells.

        Parameters
        ----------
        table : ndarray or narwhals.DataFrame
            Rows with the columns of ``fit``.
        fitting : bool, default=False
            If True, do not warn of categories that ``fit`` did not keep.

        Returns
        -------
        values : ndarray of shape (n_samples, width)
            float32 for a float32 array, or else float64. Missing numbers are zero. Beyond 1e9
            standard deviations numbers grow logarithmically, so that scores stay finite.
        observed : ndarray of bool, shape (n_samples, n_columns), or None
            True for observed cells, in encoded order. None if no cell is missing.

        Raises
        ------
        DataError
            If a value is infinite, or too large for ``fit``, or a column changed its type.
        """
        if isinstance(table, np.ndarray):
            if self.codecs:
                raise DataError(
                    "fit saw a frame with columns that are not numbers, got an array. Give a frame "
                    "with the same columns."
                )
            return self._encode_numbers(table, fitting)
        arrow = arrow_table(table)
        compare_names(self.column_names, arrow.column_names)
        return self._encode_frame(arrow, fitting)

    def _encode_frame(self, arrow: pa.Table, fitting: bool) -> tuple[np.ndarray, np.ndarray | None]:
        values, observed = self._encode_numbers(
            number_matrix(arrow, self.positions, self.spec.types), fitting
        )
        if not self.codecs:
            return values, observed
        parts = [(values, np.ones(values.shape, dtype=bool) if observed is None else observed)]
        with joined():
            for codec in self.codecs:
                column = arrow.column(codec.position)
                column = conform(column, self.spec.types[codec.position], codec.name)
                elements, seen = _encode_column(codec, column, fitting)
                parts.append((elements, seen[:, None]))
        observed = np.hstack([part[1] for part in parts])
        return np.hstack([part[0] for part in parts]), None if observed.all() else observed

    def _encode_numbers(
        self, numbers: np.ndarray, fitting: bool
    ) -> tuple[np.ndarray, np.ndarray | None]:
        values = np.empty(numbers.shape, np.float32 if numbers.dtype == np.float32 else np.float64)
        observed: np.ndarray | None = None
        step = min(max(1, _BLOCK_ELEMENTS // max(1, numbers.shape[1])), max(1, len(numbers)))
        scaling = Scaling(self.center, self.scale, values.dtype, step)
        for start in range(0, len(numbers), step):
            block = slice(start, start + step)
            scaled = values[block]
            scaling.apply(numbers[block], scaled)
            # The comparison of both ends is false if any cell is missing or far.
            if scaled.size and not (scaled.min() > -FAR and scaled.max() < FAR):
                missing = np.isnan(scaled)
                scaled[missing] = 0.0
                too_large = ~(np.abs(scaled) < _LARGEST) if fitting else np.isinf(numbers[block])
                _refuse(self.spec, self.positions, numbers[block], too_large, start)
                compress_far(scaled, numbers[block], self.center, self.scale)
                if observed is None and missing.any():
                    observed = np.ones(values.shape, dtype=bool)
                if observed is not None:
                    observed[block] = ~missing
        if self.number_likelihood in _IN_UNIT_INTERVAL:
            self._check_unit_interval(numbers, values)
        return values, observed

    def _check_unit_interval(self, numbers: np.ndarray, values: np.ndarray) -> None:
        outside = (values < 0) | (values > 1)
        if not outside.any():
            return
        row, column = (int(i) for i in np.argwhere(outside)[0])
        warn(
            f"{int(outside.sum()):,} values lie outside [0, 1], the range seen in fit, for example "
            f"{numbers[row, column]:g} at row {row}; they are clipped. Give likelihood='gaussian' "
            "for numbers without such bounds."
        )
        np.clip(values, 0.0, 1.0, out=values)

    def in_order(self, per_column: np.ndarray) -> np.ndarray:
        """Return one number per cell in the user's order of columns.

        Parameters
        ----------
        per_column : ndarray of shape (n_samples, n_columns)
            One number per cell, in encoded order.

        Returns
        -------
        ndarray of shape (n_samples, n_columns)
            The same numbers.
        """
        ordered = np.empty_like(per_column)
        ordered[:, self.order] = per_column
        return ordered

    def decode(
        self,
        values: np.ndarray,
        like: Any = None,
        *,
        rounding: Rounding = "nearest",
        missing: np.ndarray | None = None,
    ) -> Any:
        """Return expected encoded rows as rows of the user's table.

        Parameters
        ----------
        values : ndarray of shape (n_samples, width)
            Expected values and probabilities.
        like : array, DataFrame, Table or None, default=None
            Rows whose library and row index the result takes. None is the library of ``fit``.
        rounding : {"nearest", "down", "up", "free"}, default="nearest"
            "nearest" rounds numbers and times to the nearest value that their column can hold.
            "down" and "up" round to the next value below or above, for the ends of intervals.
            "free" does not round.
        missing : ndarray of bool, shape (n_samples, n_columns), or None, default=None
            True for cells that are returned as missing, in encoded order.

        Returns
        -------
        ndarray, DataFrame or Table
            Rows in the types of ``fit``, with the most probable category of each cell.
        """
        amounts = self.amounts(values, rounding)
        if self.support is not None:
            empty = self.support.gaps == 1
            if empty.any():
                missing = np.broadcast_to(empty, (len(values), len(empty))) | (
                    False if missing is None else missing
                )
        if rounding != "free":
            amounts[:, : len(self.scale)] = _tidied(
                amounts[:, : len(self.scale)], self.scale, _PUSHES[rounding]
            )
        if missing is not None:
            amounts[missing[:, : amounts.shape[1]]] = np.nan
        container = self.spec.container if like is None else container_of(like)
        if container == "numpy":
            return self._as_array(amounts)
        if self.spec.container == "numpy":
            return frame_like(self._as_array(amounts), like)
        table = self._as_arrow(values, amounts, missing)
        return native_frame(table, self.spec, container, like)

    def amounts(self, values: np.ndarray, rounding: Rounding = "free") -> np.ndarray:
        """Return the numbers of encoded rows in the user's units, and the times in ticks.

        Parameters
        ----------
        values : ndarray of shape (n_samples, width)
            Expected values.
        rounding : {"nearest", "down", "up", "free"}, default="free"
            Rounding to the values that the columns can hold, as in ``decode``.

        Returns
        -------
        ndarray of shape (n_samples, n_measured)
            Numbers, then times, in the units of the support.
        """
        start = len(self.positions)
        numbers = values[:, :start] * self.scale + self.center
        times = []
        for codec in self.codecs:
            if isinstance(codec, TimeCodec):
                times.append(codec.amounts(values[:, start : start + codec.width]))
            start += codec.width
        amounts = np.column_stack([numbers, *times])
        return amounts if self.support is None else self.support.snapped(amounts, rounding)

    def calibrated(self, values: np.ndarray, *, generated: bool = False) -> TablePreprocessor:
        """Return a preprocessor whose point masses are as frequent in outputs as in training rows.

        Parameters
        ----------
        values : ndarray of shape (n_samples, width)
            Expected encoded rows.
        generated : bool, default=False
            True for generated rows, False for reconstructions.

        Returns
        -------
        TablePreprocessor
            The calibrated preprocessor, or this one if no column has a point mass.
        """
        if self.support is None or not self.has_masses:
            return self
        return replace(
            self, support=self.support.calibrated(self.amounts(values), generated=generated)
        )

    def extended(self, values: np.ndarray, observed: np.ndarray | None) -> TablePreprocessor:
        """Return a preprocessor with a support that includes further rows.

        Parameters
        ----------
        values : ndarray of shape (n_samples, width)
            Encoded rows.
        observed : ndarray of bool, shape (n_samples, n_columns), or None
            True for observed cells. None if no cell is missing.

        Returns
        -------
        TablePreprocessor
            A preprocessor with bounds wide enough for the rows.
        """
        if self.support is None or not len(values):
            return self
        amounts = self.amounts(values.astype(np.float64, copy=False))
        if observed is not None:
            amounts[~observed[:, : amounts.shape[1]]] = np.nan
        return replace(self, support=self.support.extended(amounts, 1e-6 * self.spreads))

    def widened(self, values: np.ndarray) -> TablePreprocessor:
        """Return a preprocessor with bounds that include the values of some encoded rows.

        Parameters
        ----------
        values : ndarray of shape (n_samples, width)
            Encoded rows without missing cells.

        Returns
        -------
        TablePreprocessor
            A preprocessor with the same grids.
        """
        if self.support is None or not len(values):
            return self
        amounts = self.amounts(values.astype(np.float64, copy=False))
        return replace(self, support=self.support.widened(amounts, 1e-6 * self.spreads))

    @property
    def spreads(self) -> np.ndarray:
        """Standard deviation of numbers in the user's units, and of times in ticks."""
        times = [codec.ticks for codec in self.codecs if isinstance(codec, TimeCodec)]
        return np.concatenate([self.scale, times])

    @property
    def has_masses(self) -> bool:
        """True if a column has point masses."""
        return self.support is not None and len(self.support.mass_column) > 0

    def draw_gaps(self, n_samples: int, rng: np.random.Generator) -> np.ndarray | None:
        """Draw a mask of missing cells with the shares of the training rows.

        Parameters
        ----------
        n_samples : int
            Number of rows.
        rng : numpy.random.Generator
            Random state.

        Returns
        -------
        ndarray of bool, shape (n_samples, n_columns), or None
            True for missing cells, in encoded order. None if no training cell was missing.
        """
        if self.support is None or not self.support.gaps.any():
            return None
        return rng.random((n_samples, len(self.support.gaps))) < self.support.gaps

    def _as_array(self, numbers: np.ndarray) -> np.ndarray:
        dtype = np.dtype(self.spec.dtype)
        if dtype.kind == "b":
            return numbers > 0.5
        return rounded(numbers, dtype) if dtype.kind in "iu" else numbers.astype(dtype, copy=False)

    def _as_arrow(
        self, values: np.ndarray, amounts: np.ndarray, missing: np.ndarray | None
    ) -> pa.Table:
        names, types = self.column_names, self.spec.types
        columns: dict[int, pa.Array] = {}
        place, start = len(self.positions), len(self.positions)
        for number, position in enumerate(self.positions):
            numbers = pa.array(amounts[:, number], from_pandas=True)
            columns[int(position)] = typed_column(numbers, types[position], ())
        for encoded, codec in enumerate(self.codecs, len(self.positions)):
            if isinstance(codec, TimeCodec):
                decoded, place = codec.values(amounts[:, place]), place + 1
            else:
                decoded = codec.decode(values[:, start : start + codec.width])
            if missing is not None:
                gaps = pa.array(missing[:, encoded])
                decoded = pc.if_else(gaps, pa.scalar(None, decoded.type), decoded)
            categories = getattr(codec, "categories", ())
            columns[codec.position] = typed_column(decoded, types[codec.position], categories)
            start += codec.width
        return pa.table({names[position]: columns[position] for position in sorted(columns)})


def _tidied(numbers: np.ndarray, scale: np.ndarray, push: int) -> np.ndarray:
    """Return numbers without the rounding error of scaling: short ones rounded, others pushed."""
    slack = _ROUNDING * scale + 4 * np.spacing(np.abs(numbers))
    factor = 10.0 ** (_DIGITS - np.floor(np.log10(scale)))
    with np.errstate(over="ignore", invalid="ignore"):
        short = np.rint(numbers * factor) / factor
        is_short = np.abs(short - numbers) <= slack
    tidied: np.ndarray = np.where(is_short, short, numbers + push * slack)
    return tidied


def tallied(
    schema: pa.Schema,
    pieces: Iterable[tuple[int, pa.Table]],
    max_categories: int = MAX_CATEGORIES,
) -> dict[str, Any]:
    """Return the statistics of a part of a table, from which ``of_tallies`` fits a preprocessor.

    Parameters
    ----------
    schema : pyarrow.Schema
        Columns and types of the whole table.
    pieces : iterable of (int, pyarrow.Table)
        Position of the first row of each piece in the whole table, and the piece. It may be
        empty.
    max_categories : int, default=100
        Largest number of categories of a column.

    Returns
    -------
    dict
        Statistics as plain values and arrays.
    """
    tally = _tally_of_schema(schema, max_categories)
    for start, piece in pieces:
        with counted_from(start):
            tally.update(arrow_table(nw.from_native(piece, eager_only=True)))
    return tally.state()


def _tally_of_schema(schema: pa.Schema, max_categories: int) -> TableTally:
    frame: nw.DataFrame[Any] = nw.from_native(schema.empty_table(), eager_only=True)
    arrow = arrow_table(frame)
    return TableTally(table_spec(frame, arrow), arrow.schema, max_categories)


@contextmanager
def counted_from(start: int) -> Iterator[None]:
    """Add the position of the first row to errors in a piece of a table."""
    try:
        yield
    except DataError as error:
        if not start:
            raise
        raise DataError(f"{error} Rows are counted from row {start:,} on.") from None


def column_name(spec: TableSpec, position: int) -> str:
    """Return the name, or else the position, of a column in a message."""
    return repr(_called(spec, position))


def _called(spec: TableSpec, position: int) -> str | int:
    return spec.names[position] if spec.names else position


def _refuse(
    spec: TableSpec, positions: np.ndarray, numbers: np.ndarray, bad: np.ndarray, start: int
) -> None:
    """Raise DataError for the first bad cell, if any. Rows are counted from ``start``."""
    if not bad.any():
        return
    row, column = (int(i) for i in np.argwhere(bad)[0])
    value = numbers[row, column]
    what = "infinity" if np.isinf(value) else f"{value:g}, a value too large"
    raise DataError(
        f"Input X contains {what} at row {start + row}, column "
        f"{column_name(spec, int(positions[column]))}. Mark it as missing (NaN) or correct it."
    )


def _encode_column(
    codec: ColumnCodec, column: pa.ChunkedArray, fitting: bool
) -> tuple[np.ndarray, np.ndarray]:
    if pa.types.is_null(column.type):
        return np.zeros((len(column), codec.width)), np.zeros(len(column), dtype=bool)
    try:
        return codec.encode(column, fitting=fitting)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, pa.ArrowTypeError):
        raise DataError(
            f"Column {codec.name!r} has another type than in fit: {column.type}. Give the same "
            "kind of values."
        ) from None


def _number_likelihood(moments: Moments, choice: LikelihoodChoice) -> LikelihoodName:
    """Return the likelihood of the numbers.

    "auto" is "bernoulli" if all numbers are in [0, 1], both ends occur, and the columns share the
    scale: all are binary, or some column varies without reaching both ends. This holds for pixels,
    but not for min-max scaled columns. Otherwise "auto" is "gaussian".
    """
    some = moments.n_values > 0
    low, high = moments.low[some], moments.high[some]
    if choice == "discretized_logistic":
        raise DataError(
            'likelihood="discretized_logistic" is for images of whole numbers, got a table. Use '
            '"gaussian".'
        )
    if choice == "continuous_bernoulli" and ((low < 0) | (high > 1)).any():
        raise DataError(
            'likelihood="continuous_bernoulli" needs numbers from 0 to 1, got '
            f"{low.min():g} to {high.max():g}. Scale them, or use "
            '"gaussian".'
        )
    if choice != "auto":
        return choice
    if not some.any() or low.min() != 0 or high.max() != 1:
        return "gaussian"
    shared_scale = bool(((low < high) & ((low > 0) | (high < 1))).any())
    return "bernoulli" if moments.all_binary or shared_scale else "gaussian"
