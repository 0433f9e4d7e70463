"""Quality of filled cells: missing shares, expected errors and predictors of each column."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from latently._layout import Column, Layout
from latently._tabular import Tabular
from latently.estimators import BaseAutoencoder, filled_of, fitted_of
from latently.exceptions import DataError
from latently.nn import Cells, prediction_error
from latently.schema import Container
from latently.tasks.imputation._relation_words import relation_words

#: Rows used to evaluate an autoencoder that holds out no cells, and the fraction of hidden cells.
_JUDGED_ROWS, _HIDDEN = 1_000, 0.1
#: Largest number of influential columns reported per column.
_N_LEANED_ON = 3
#: A column is unfillable from this share of missing cells on, below this share of avoided error
#: and below this number divided by the number of held-out cells.
_MOSTLY, _LEAST_GAIN, _GAIN_OF_CELLS = 0.5, 0.01, 4.0
#: Columns with a smaller share of the importance are not named.
_LEAST_SHARE = 0.01
#: Relations and names of columns without gaps that are printed.
_N_RELATIONS, _N_WHOLE = 12, 8
_DAY = 86_400.0


@dataclass(frozen=True, eq=False, repr=False)
class FillReport(Tabular):
    """Quality of the filled cells of each column.

    Attributes
    ----------
    names : tuple of str
        Names of the columns. Unnamed columns are ``x0``, ``x1`` and so on.
    share_missing : ndarray of shape (n_features,)
        Share of the cells that were missing in ``fit``.
    expected_error : ndarray of shape (n_features,)
        Error on observed cells that were hidden. It is the root mean squared error for numbers in
        their own unit and for dates in days, and the error rate for any other column. NaN if no
        cell was hidden.
    explained : ndarray of shape (n_features,)
        Share of the error of the mean, or the most frequent category, that a fill avoids: of the
        squared error for numbers. Zero knows nothing, one everything.
    units : tuple of str
        "" for numbers, "days" for dates and durations, "wrong" for shares.
    leaned_on : tuple of tuple of str
        The columns from which a column is predicted, the most important first: those whose
        permutation raises the error on held-out cells most. A column that is rarely present counts
        little. Empty unless an ``ImputationAutoencoder`` fills.
    library : {"numpy", "pandas", "polars", "pyarrow"}
        Of the rows of ``fit``.
    relations : tuple of str
        Near-exact relations of columns, which fill their gaps alone, and ordered pairs of columns,
        which fills keep. Formulas are in the units of the columns, times in seconds. "=" marks an
        exact relation, "~" a near one. ``curve`` and ``table`` are functions of one column. Empty
        unless an ``ImputationAutoencoder`` fills.
    relative_error : ndarray of shape (n_features,) or None
        ``expected_error`` as a share of the column's spread: of the standard deviation of numbers
        and times, of the wrong guesses of the most frequent category for others. None in reports
        of old model files.
    unfillable : tuple of str
        Columns with more than half of their cells missing, of which fills of held-out cells do not
        avoid more of the error of the mean, or of the most frequent category, than chance does:
        1 %, and more where few cells were held out. Columns that a relation predicts are none.
    """

    names: tuple[str, ...]
    share_missing: np.ndarray
    expected_error: np.ndarray
    explained: np.ndarray
    units: tuple[str, ...]
    leaned_on: tuple[tuple[str, ...], ...]
    library: Container = "numpy"
    relations: tuple[str, ...] = ()
    relative_error: np.ndarray | None = None
    unfillable: tuple[str, ...] = ()

    def check_consistent(self) -> None:
        """Raise DataError if the parts do not belong together, as those of a file may not."""
        n, arrays = len(self.names), [self.share_missing, self.expected_error, self.explained]
        arrays += [] if self.relative_error is None else [self.relative_error]
        share = self.share_missing
        sound = (
            all(part.shape == (n,) and part.dtype.kind == "f" for part in arrays)
            and n == len(self.units) == len(self.leaned_on)
            and bool(((share >= 0) & (share <= 1)).all())
            and not any(np.isinf(part).any() for part in arrays)
            and isinstance(self.relations, tuple)
            and isinstance(self.unfillable, tuple)
            and set(self.unfillable) <= set(self.names)
            and all(isinstance(words, str) for words in self.relations)
        )
        if not sound:
            raise DataError("The model's fill_report_ does not fit together.")

    def columns(self) -> dict[str, list[Any]]:
        return self.to_dict()

    @property
    def by_gaps(self) -> np.ndarray:
        """Positions of the columns, those with the largest share of missing cells first."""
        return np.argsort(-self.share_missing, kind="stable")

    def to_dict(self) -> dict[str, list[Any]]:
        """Return the report as columns, which every frame library takes.

        Returns
        -------
        dict of str to list
            A list for each attribute. Columns with the largest share of missing cells come first.
        """
        order = self.by_gaps
        relative = np.full(len(order), np.nan) if self.relative_error is None else (
            self.relative_error
        )  # fmt: skip
        return {
            "column": [self.names[place] for place in order],
            "share_missing": self.share_missing[order].tolist(),
            "expected_error": self.expected_error[order].tolist(),
            "unit": [self.units[place] for place in order],
            "relative_error": relative[order].tolist(),
            "explained": self.explained[order].tolist(),
            "leaned_on": [", ".join(self.leaned_on[place]) for place in order],
        }

    def __str__(self) -> str:
        has_gaps = self.share_missing > 0
        shown = [place for place in self.by_gaps.tolist() if has_gaps[place]]
        width = max(6, *(len(self.names[place]) for place in shown)) if shown else 6
        lines = [f"{'column':{width}}  missing  expected error  of spread  explained  leans on"]
        lines += [f"{self.names[place]:{width}}  {self._line(place)}".rstrip() for place in shown]
        whole = [name for name, gap in zip(self.names, has_gaps, strict=True) if not gap]
        if whole:
            more = f" and {len(whole) - _N_WHOLE:,} more" if len(whole) > _N_WHOLE else ""
            lines.append(f"without gaps: {', '.join(whole[:_N_WHOLE])}{more}")
        if self.unfillable:
            lines.append(f"cannot be filled: {', '.join(self.unfillable)}")
        lines += [f"relation: {words}" for words in self.relations[:_N_RELATIONS]]
        if len(self.relations) > _N_RELATIONS:
            lines.append(f"and {len(self.relations) - _N_RELATIONS:,} more relations")
        return "\n".join(lines)

    def _line(self, place: int) -> str:
        """Return the cells of a column in the printed table."""
        relative = np.nan if self.relative_error is None else self.relative_error[place]
        shares = [_percent(share) for share in (relative, self.explained[place])]
        missing, error = f"{self.share_missing[place]:.1%}", self.error_words(place)
        leaned_on = ", ".join(self.leaned_on[place])
        return f"{missing:>7}  {error:>14}  {shares[0]:>9}  {shares[1]:>9}  {leaned_on}"

    def error_words(self, place: int) -> str:
        """Return the expected error of a column with its unit, ``-`` where none is known.

        Parameters
        ----------
        place : int
            Position of the column.

        Returns
        -------
        str
            For example ``3.1 days``.
        """
        error, unit = self.expected_error[place], self.units[place]
        if np.isnan(error):
            return "-"
        return f"{error:.1%} wrong" if unit == "wrong" else f"{error:.4g} {unit}".strip()


def _percent(share: float) -> str:
    return "-" if np.isnan(share) else f"{share:.0%}"


def report_fill(model: BaseAutoencoder, cells: Cells) -> FillReport:
    """Look at how a fitted autoencoder of tables fills gaps.

    Parameters
    ----------
    model : BaseAutoencoder
        Fitted.
    cells : Cells
        Encoded rows of ``fit``.

    Returns
    -------
    FillReport
        In the order of the user's columns.
    """
    preprocessor, module = model.preprocessor_, model.module_
    layout, order = preprocessor.layout, preprocessor.order
    names = preprocessor.column_names
    missing = np.zeros(layout.n_columns)
    if cells.observed is not None:
        missing = 1 - cells.observed.double().mean(0).numpy()
    leaned_on: list[tuple[str, ...]] = [()] * layout.n_columns
    relations: tuple[str, ...] = ()
    measured = fitted_of(model).fill_quality()
    if measured is None:
        errors = _hidden_errors(model, cells, layout)
    else:
        errors = measured.errors
        leaned_on = [tuple(names[order[j]] for j in _strongest(row)) for row in measured.reliance]
        relations = relation_words(measured.relations, [names[place] for place in order])
    scales, units = _scales(preprocessor)
    expected = errors.double().numpy() * scales
    usual = torch.stack([_usual_error(column, module.center) for column in layout.columns])
    numbers = torch.tensor([column.is_number for column in layout.columns])
    ratio = errors / usual
    explained = 1 - torch.where(numbers, ratio.square(), ratio)
    n_held = (1 - missing) * len(cells.values) * getattr(model, "validation_fraction", _HIDDEN)
    gain = np.maximum(_LEAST_GAIN, _GAIN_OF_CELLS / np.maximum(n_held, 1e-9))
    is_unfillable = (missing > _MOSTLY) & ~(explained.double().numpy() >= gain)
    if measured is not None and measured.relations is not None:
        # Outliers may hide in the squared error that a relation predicts all other cells.
        is_unfillable[measured.relations.target.long().numpy()] = False
    back = np.argsort(order)
    return FillReport(
        names,
        missing[back],
        expected[back],
        explained.double().clamp(min=0).numpy()[back],
        tuple(units[j] for j in back),
        tuple(leaned_on[j] for j in back),
        getattr(preprocessor.spec, "container", "numpy"),
        relations,
        ratio.double().numpy()[back],
        tuple(name for name, never in zip(names, is_unfillable[back], strict=True) if never),
    )


def _usual_error(column: Column, center: Tensor) -> Tensor:
    """Return the error of the mean of a number, of the most frequent category of any other."""
    mean = center[column.elements].float().cpu()
    if column.is_number:
        return torch.ones(())
    if column.likelihood == "bernoulli":  # the chances to lie above each step
        mean = -torch.cat([torch.ones(1), mean, torch.zeros(1)]).diff()
    return (1 - mean.max()).clamp(min=1e-6)


def _strongest(shares: Tensor) -> list[int]:
    places = torch.argsort(shares, descending=True, stable=True)[:_N_LEANED_ON].tolist()
    return [place for place in places if shares[place] > _LEAST_SHARE]


def _hidden_errors(model: BaseAutoencoder, cells: Cells, layout: Layout) -> Tensor:
    """Hide some cells of the first rows and see how far their fills go wrong."""
    some = cells.take(slice(_JUDGED_ROWS))
    generator = torch.Generator().manual_seed(0)
    hidden = torch.rand(len(some.values), layout.n_columns, generator=generator) < _HIDDEN
    observed = torch.ones_like(hidden) if some.observed is None else some.observed
    shown = Cells(some.values, observed & ~hidden)
    filled = torch.from_numpy(fitted_of(model).ask(shown, filled_of))
    judged, errors = observed & hidden, torch.full((layout.n_columns,), torch.nan)
    for column in layout.columns:
        rows, part = judged[:, column.place], column.elements
        if rows.any():
            predicted, truth = filled[rows][:, part], some.values[rows][:, part]
            errors[column.place] = prediction_error(predicted, truth, column.likelihood)
    return errors


def _scales(preprocessor: Any) -> tuple[np.ndarray, list[str]]:
    """Return the factor from encoded errors to the unit of each column, and that unit."""
    numbers = preprocessor.number_likelihood == "gaussian"
    scales = [*(preprocessor.scale if numbers else np.ones(len(preprocessor.scale)))]
    units = ["" if numbers else "wrong"] * len(scales)
    for codec in preprocessor.codecs:
        is_date = codec.likelihood == "gaussian"
        scales.append(codec.scale / _DAY if is_date else 1.0)
        units.append("days" if is_date else "wrong")
    return np.array(scales), units
