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

#: Rows used to evaluate an autoencoder that holds out no cells, and the fraction of hidden cells.
_JUDGED_ROWS, _HIDDEN = 1_000, 0.1
#: Largest number of influential columns reported per column.
_N_LEANED_ON = 3
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
        Columns with the largest influence on the imputed values of a column, the largest first.
        Empty unless the autoencoder is an ``ImputationAutoencoder``.
    library : {"numpy", "pandas", "polars", "pyarrow"}
        Of the rows of ``fit``.
    """

    names: tuple[str, ...]
    share_missing: np.ndarray
    expected_error: np.ndarray
    explained: np.ndarray
    units: tuple[str, ...]
    leaned_on: tuple[tuple[str, ...], ...]
    library: Container = "numpy"

    def check_consistent(self) -> None:
        """Raise DataError if the parts do not belong together, as those of a file may not."""
        n, arrays = len(self.names), (self.share_missing, self.expected_error, self.explained)
        share = self.share_missing
        sound = (
            all(part.shape == (n,) and part.dtype.kind == "f" for part in arrays)
            and n == len(self.units) == len(self.leaned_on)
            and bool(((share >= 0) & (share <= 1)).all())
            and not any(np.isinf(part).any() for part in arrays)
        )
        if not sound:
            raise DataError("The model's fill_report_ does not fit together.")

    def columns(self) -> dict[str, list[Any]]:
        return self.to_dict()

    def to_dict(self) -> dict[str, list[Any]]:
        """Return the report as columns, which every frame library takes.

        Returns
        -------
        dict of str to list
            A list for each attribute, in the order of the columns.
        """
        return {
            "column": list(self.names),
            "share_missing": self.share_missing.tolist(),
            "expected_error": self.expected_error.tolist(),
            "explained": self.explained.tolist(),
            "unit": list(self.units),
            "leaned_on": [", ".join(others) for others in self.leaned_on],
        }

    def __str__(self) -> str:
        width = max(6, *(len(name) for name in self.names))
        lines = [f"{'column':{width}}  missing  expected error  explained  leans on"]
        for place, name in enumerate(self.names):
            others = ", ".join(self.leaned_on[place])
            share = f"{self.share_missing[place]:.1%}"
            known = self.explained[place]
            part = "-" if np.isnan(known) else f"{known:.0%}"
            cells = f"{share:>7}  {self.error_words(place):>14}  {part:>9}"
            lines.append(f"{name:{width}}  {cells}  {others}".rstrip())
        return "\n".join(lines)

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
    measured = fitted_of(model).fill_quality()
    if measured is None:
        errors = _hidden_errors(model, cells, layout)
    else:
        errors = measured.errors
        leaned_on = [tuple(names[order[j]] for j in _strongest(row)) for row in measured.reliance]
    scales, units = _scales(preprocessor)
    expected = errors.double().numpy() * scales
    usual = torch.stack([_usual_error(column, module.center) for column in layout.columns])
    numbers = torch.tensor([column.is_number for column in layout.columns])
    ratio = errors / usual
    explained = 1 - torch.where(numbers, ratio.square(), ratio)
    back = np.argsort(order)
    return FillReport(
        names,
        missing[back],
        expected[back],
        explained.double().clamp(min=0).numpy()[back],
        tuple(units[j] for j in back),
        tuple(leaned_on[j] for j in back),
        getattr(preprocessor.spec, "container", "numpy"),
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
    return [place for place in places if shares[place] > 0]


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
