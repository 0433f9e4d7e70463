"""Search of near-exact relations of few columns, and the choice among them by held-out cells."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from latently._layout import Column
from latently.nn.masked._relations import (
    CODES,
    CURVE,
    EXACT,
    HAS_ZERO,
    LINEAR,
    LOG,
    MAX_INPUTS,
    N_RESIDUALS,
    NO_GROUP,
    Relation,
    Units,
    predicted_by,
)

#: Rows on which relations are searched, and on which the final coefficients are fitted.
_SEARCH_ROWS, _FIT_ROWS = 2_000, 10_000
#: Inputs that are considered for a column, and relations that are kept for it.
_N_PARTNERS, _N_KEPT = 20, 6
#: Single inputs and pairs of inputs that are fitted without outliers.
_N_SINGLES, _N_PAIRS = 3, 4
#: Smallest number of rows of a fit, and of held-out cells that choose a relation.
_MIN_ROWS, _MIN_HELD = 30, 20
#: Share of cells from which on a value is frequent.
_FREQUENT = 0.1
#: Smallest number of held-out cells that choose an exact function.
_MIN_EXACT = 8
#: Smallest number of held-out cells that differ from the most frequent value.
_MIN_TELLING = 10
#: Share of the smallest errors on which relations are compared, so that outliers do not decide.
_TRIMMED = 0.9
#: A relation replaces the blend if its trimmed error is below this share of that of the blend:
#: with fewer held-out cells than the last number, and with more.
_FAR_LOWER, _LOWER, _MANY_HELD = 0.5, 0.8, 100
#: The error of an exact relation over all held-out cells is at most this times that of the blend.
#: Other relations must be lower over all held-out cells, too.
_AT_MOST = 1.1
#: A further input must lower the error to this share.
_GAIN = 0.7
#: Further inputs that are tried at a time.
_N_FURTHER = 2
#: Smallest absolute rank correlation of a curve.
_MONOTONE = 0.9
#: A relation is kept if it is the first to predict this share of the held-out cells.
_NEW_CELLS = 0.02
#: Residuals beyond this multiple of the median absolute residual are outliers of a fit.
_OUTLYING, _N_TRIMS = 5.0, 6
#: Smallest number of rows of an ordered pair, and largest share of rows in the other order.
_MIN_ORDERED, _DISORDER = 50, 1e-3
#: Functions with at most this trimmed error may be overruled by few outliers only.
_NEAR = 1e-4
_RIDGE = 1e-12


class HeldOut(NamedTuple):
    """Held-out cells of a column.

    Attributes
    ----------
    rows : Tensor of int64, shape (n_held,)
        Indices of their rows.
    blended : Tensor of shape (n_held,)
        Prediction of the blend, as a scalar.
    """

    rows: Tensor
    blended: Tensor


class RelationSearch:
    """Search of relations among the columns of a table.

    Parameters
    ----------
    scalars : Tensor of shape (n_rows, n_columns)
        One number for each cell, NaN where missing, in random order of the rows.
    columns : tuple of Column
        The columns.
    units : Units
        Their own units.
    """

    def __init__(self, scalars: Tensor, columns: tuple[Column, ...], units: Units) -> None:
        self.scalars, self.columns, self.units = scalars, columns, units
        own = scalars * units.scale + units.zero
        has_zero = torch.isin(units.group, torch.tensor(HAS_ZERO))
        logs = torch.where(has_zero & (own != 0), own.abs().log(), torch.nan)
        self.terms = {LINEAR: scalars, LOG: logs}
        self.numbers = torch.nonzero(units.group != NO_GROUP)[:, 0].tolist()
        self.measured = torch.nonzero(has_zero)[:, 0].tolist()
        self.ranks = _ranks(scalars[:_SEARCH_ROWS])

    def relations_of(self, target: int, held: HeldOut, reliance: Tensor) -> list[Relation]:
        """Return relations that predict a column far better than the blend, the best first.

        Parameters
        ----------
        target : int
            Column to predict.
        held : HeldOut
            Its held-out cells.
        reliance : Tensor of shape (n_columns,)
            Importance of the other columns in the trees of the column.
        """
        truth = self.scalars[held.rows, target]
        if len(truth) < _MIN_EXACT:
            return []
        shown = self.scalars[:, target].clone()
        shown[held.rows] = torch.nan
        tried = []
        for candidate in self._candidates(target, shown, reliance):
            error = self._error_if_lower(candidate, held, truth)
            if error is not None:
                tried.append((error, candidate))
        # Of exact relations, those with the fewest parameters come first.
        tried.sort(key=lambda pair: (pair[0] if pair[0] > EXACT else 0.0, pair[1].kind,
                                     len(pair[1].inputs)))  # fmt: skip
        return self._covering([candidate for _, candidate in tried], held, truth)

    # ------------------------------------------------------------------ choice
    def _error_if_lower(self, relation: Relation, held: HeldOut, truth: Tensor) -> float | None:
        """Return the held-out error of a relation, or None unless it is far below the blend's."""
        predicted = predicted_by(relation, self.scalars[held.rows], self.units)
        known = ~predicted.isnan()
        own, blend = (predicted - truth)[known], (held.blended - truth)[known]
        if len(own) < _MIN_EXACT:
            return None
        if not self.columns[relation.target].is_number:
            return _if_lower(_share(own != 0), _share(blend != 0), len(own))
        # The most frequent value is predicted by a constant, too.
        telling = truth[known] != _frequent(truth)
        n_telling = int(telling.sum())
        if n_telling < _MIN_EXACT:
            return None
        found, before = _trimmed(own[telling]), _trimmed(blend[telling])
        overall, overall_before = _root_mean_square(own), _root_mean_square(blend)
        # A table of codes can be exact for most cells by chance, a function of numbers cannot.
        if relation.kind != CODES and found <= _NEAR:
            is_lower = found < _FAR_LOWER * before and overall <= _AT_MOST * overall_before
            return found if is_lower else None
        if _if_lower(overall, overall_before, len(own)) is None:
            return None
        if n_telling < _MIN_HELD:
            is_rare = len(own) >= _MANY_HELD and n_telling >= _MIN_TELLING
            return overall if is_rare else None
        return _if_lower(found, before, n_telling)

    def _covering(self, ranked: list[Relation], held: HeldOut, truth: Tensor) -> list[Relation]:
        """Return the relations that are the first to predict some held-out cells."""
        open_cells = torch.ones(len(truth), dtype=torch.bool)
        kept: list[Relation] = []
        for relation in ranked:
            predicted = predicted_by(relation, self.scalars[held.rows], self.units)
            new = open_cells & ~predicted.isnan()
            if len(kept) == _N_KEPT or float(new.double().mean()) < _NEW_CELLS:
                continue
            known = ~predicted.isnan()
            kept.append(self._finished(relation, (truth - predicted)[known]))
            open_cells &= ~known
        return kept

    def _finished(self, relation: Relation, residuals: Tensor) -> Relation:
        """Return a relation with its held-out residuals."""
        is_number = self.columns[relation.target].is_number
        error = _trimmed(residuals) if is_number else _share(residuals != 0)
        shares = (torch.arange(N_RESIDUALS, dtype=torch.float64) + 0.5) / N_RESIDUALS
        quantiles = torch.quantile(residuals, shares) if is_number else torch.zeros_like(shares)
        return Relation(relation.kind, relation.target, relation.inputs, relation.coefficients,
                        relation.knots, relation.sign, error, quantiles)  # fmt: skip

    # ------------------------------------------------------------------ candidates
    def _partners(self, target: int, reliance: Tensor) -> list[int]:
        """Return the columns that may be inputs, the strongest first."""
        related = _correlations(self.ranks[:, [target]], self.ranks)[0].abs().nan_to_num()
        strength = torch.maximum(related, reliance.double())
        strength[target] = -1.0
        order = strength.argsort(dim=0, stable=True, descending=True)[:_N_PARTNERS].tolist()
        return [column for column in order if column != target]

    def _candidates(self, target: int, shown: Tensor, reliance: Tensor) -> Iterator[Relation]:
        partners = self._partners(target, reliance)
        if self.columns[target].is_number:
            yield from self._regressions(LINEAR, target, shown, partners)
            if target in self.measured:
                yield from self._regressions(LOG, target, shown, partners)
            for column in partners[: 2 * _N_SINGLES]:
                if column in self.numbers and self._is_monotone(target, column):
                    yield from self._curve(target, column, shown)
        for column in partners[: 2 * _N_SINGLES]:
            yield from self._codes(target, column, shown)

    def _regressions(
        self, kind: int, target: int, shown: Tensor, partners: list[int]
    ) -> Iterator[Relation]:
        """Yield the best regressions on one, two and more columns."""
        usable = self.numbers if kind == LINEAR else self.measured
        inputs = [column for column in partners if column in usable]
        if not inputs:
            return
        terms = self.terms[kind]
        wanted = terms[:, target].masked_fill(shown.isnan(), torch.nan)
        some = slice(_SEARCH_ROWS)
        singles, pairs = _best_inputs(terms[some][:, inputs], wanted[some])
        chosen = [[inputs[i]] for i in singles] + [[inputs[i] for i in pair] for pair in pairs]
        # More than half equal cells would make all others outliers.
        values = wanted[~wanted.isnan()]
        n_trims = 1 if _share(values == values.median()) > 0.5 else _N_TRIMS
        for used in chosen:
            fitted = self._fitted(kind, target, used, wanted, n_trims)
            if fitted is None:
                continue
            yield fitted[1]
            if kind == LINEAR and len(used) == 2:
                yield from self._extended(*fitted, wanted, inputs, n_trims)

    def _extended(
        self,
        error: float,
        relation: Relation,
        wanted: Tensor,
        inputs: list[int],
        n_trims: int,
    ) -> Iterator[Relation]:
        """Yield regressions with further inputs, one by one, while the error falls."""
        target, used = relation.target, list(relation.inputs)
        while len(used) < MAX_INPUTS and error > EXACT:
            tried = [
                (fitted, [*used, column])
                for column in self._related(relation, wanted, inputs, n_trims)
                if (fitted := self._fitted(LINEAR, target, [*used, column], wanted, n_trims))
            ]
            best = min(tried, key=lambda pair: pair[0][0], default=None)
            if best is None or best[0][0] > _GAIN * error:
                return
            (error, relation), used = best
            yield relation

    def _related(
        self, relation: Relation, wanted: Tensor, inputs: list[int], n_trims: int
    ) -> list[int]:
        """Return the further inputs with the largest correlation with residuals in the fit."""
        some = self.scalars[:_SEARCH_ROWS]
        residuals = wanted[:_SEARCH_ROWS] - predicted_by(relation, some, self.units)
        if n_trims > 1:
            limit = _OUTLYING * residuals.abs().nanmedian()
            residuals = residuals.masked_fill(residuals.abs() > limit, torch.nan)
        found = _correlations(residuals[:, None], some[:, inputs])[0].abs()
        order = found.argsort(dim=0, stable=True, descending=True).tolist()
        new = [inputs[place] for place in order if inputs[place] not in relation.inputs]
        return new[:_N_FURTHER]

    def _fitted(
        self, kind: int, target: int, inputs: list[int], wanted: Tensor, n_trims: int
    ) -> tuple[float, Relation] | None:
        """Fit a regression without outliers; return its error and it."""
        some = self.terms[kind][:_SEARCH_ROWS][:, inputs]
        goal = wanted[:_SEARCH_ROWS]
        rows = ~goal.isnan() & ~some.isnan().any(1)
        if int(rows.sum()) < _MIN_ROWS:
            return None
        coefficients, residuals = _robust(some[rows], goal[rows], n_trims)
        sign = 1.0
        if kind == LOG:
            own = self.scalars[:_SEARCH_ROWS] * self.units.scale + self.units.zero
            signs = own[rows][:, [target, *inputs]].sign().prod(1)
            sign = float(signs.mean().sign()) or 1.0
        empty = torch.zeros(2, 0, dtype=torch.float64)
        error = _trimmed(residuals) if n_trims > 1 else _root_mean_square(residuals)
        return error, Relation(kind, target, tuple(inputs), coefficients, empty, sign)

    def _is_monotone(self, target: int, column: int) -> bool:
        pair = _correlations(self.ranks[:, [target]], self.ranks[:, [column]])
        return bool(pair.abs().max() >= _MONOTONE)

    def _curve(self, target: int, column: int, shown: Tensor) -> Iterator[Relation]:
        """Yield a piecewise linear function through running medians."""
        inputs, goal = self._pairs(column, shown)
        if len(inputs) < _MIN_ROWS:
            return
        places, medians = _grouped(inputs, goal)
        if len(places) >= 5:
            middle = medians.unfold(0, 5, 1).median(1).values
            medians = torch.cat([medians[:2], middle, medians[-2:]])
        yield self._table(CURVE, target, column, places, medians)

    def _codes(self, target: int, column: int, shown: Tensor) -> Iterator[Relation]:
        """Yield a table of the targets of repeated inputs."""
        inputs, goal = self._pairs(column, shown)
        if len(inputs) < _MIN_ROWS:
            return
        places, medians = _grouped(inputs, goal, is_mode=not self.columns[target].is_number)
        if 2 * len(places) <= len(inputs):
            yield self._table(CODES, target, column, places, medians)

    def _pairs(self, column: int, shown: Tensor) -> tuple[Tensor, Tensor]:
        inputs = self.scalars[:_FIT_ROWS, column]
        goal = shown[:_FIT_ROWS]
        rows = ~inputs.isnan() & ~goal.isnan()
        return inputs[rows], goal[rows]

    def _table(
        self, kind: int, target: int, column: int, places: Tensor, targets: Tensor
    ) -> Relation:
        none = torch.zeros(2, dtype=torch.float64)
        return Relation(kind, target, (column,), none, torch.stack([places, targets]))

    # ------------------------------------------------------------------ orders
    def ordered_pairs(self) -> list[tuple[int, int]]:
        """Return pairs of columns of one group of which the first is never larger."""
        own = (self.scalars * self.units.scale + self.units.zero)[:_SEARCH_ROWS]
        group, found = self.units.group, []
        ends = torch.nanquantile(own, torch.tensor([0.05, 0.95], dtype=own.dtype), dim=0)
        for first in self.numbers:
            both = ~(own[:, [first]].isnan() | own.isnan())
            n_rows = both.sum(0)
            larger = ((own[:, [first]] > own) & both).sum(0)
            smaller = ((own[:, [first]] < own) & both).sum(0)
            fits = (n_rows >= _MIN_ORDERED) & (larger <= _DISORDER * n_rows) & (smaller > 0)
            fits &= (group == group[first]) & (ends[1, first] > ends[0])
            found += [(first, second) for second in torch.nonzero(fits)[:, 0].tolist()]
        return found


def _if_lower(found: float, before: float, n_cells: int) -> float | None:
    """Return the error of a relation, or None unless it is far below that of the blend."""
    share = _LOWER if n_cells >= _MANY_HELD else _FAR_LOWER
    return found if n_cells >= _MIN_HELD and found < share * before else None


def _frequent(values: Tensor) -> float:
    """Return the most frequent value if it is frequent, or else NaN."""
    distinct, counts = np.unique(values.numpy(), return_counts=True)
    most = int(counts.argmax())
    return (
        float(distinct[most]) if int(counts[most]) > max(_FREQUENT * len(values), 1) else math.nan
    )


def _share(wrong: Tensor) -> float:
    return float(wrong.double().mean())


def _root_mean_square(errors: Tensor) -> float:
    return float(errors.square().mean().sqrt())


def _trimmed(errors: Tensor) -> float:
    """Return the root mean square of the smallest absolute errors."""
    sizes = errors.abs().sort().values
    return _root_mean_square(sizes[: max(int(_TRIMMED * len(sizes)), 1)])


def _ranks(scalars: Tensor) -> Tensor:
    """Return the rank of each cell within its column, from 0 to 1, NaN where missing."""
    n_seen = (~scalars.isnan()).sum(0).clamp(min=1)
    ranks = scalars.argsort(dim=0, stable=True).argsort(
        dim=0, stable=True
    )  # missing cells come last
    return (ranks.double() / n_seen).masked_fill(scalars.isnan(), torch.nan)


def _correlations(first: Tensor, second: Tensor) -> Tensor:
    """Return the correlations of columns over their common rows, (n_first, n_second)."""
    seen, others = (~first.isnan()).double(), (~second.isnan()).double()
    a, b = first.nan_to_num(), second.nan_to_num()
    n = (seen.T @ others).clamp(min=1)
    mean_a, mean_b = a.T @ others / n, seen.T @ b / n
    covariance = a.T @ b / n - mean_a * mean_b
    variance_a = a.square().T @ others / n - mean_a.square()
    variance_b = seen.T @ b.square() / n - mean_b.square()
    scale = (variance_a * variance_b).clamp(min=0).sqrt()
    return torch.where((scale > 0) & (n >= _MIN_ROWS), covariance / scale, 0.0)


def _best_inputs(terms: Tensor, wanted: Tensor) -> tuple[list[int], list[tuple[int, int]]]:
    """Return the single inputs and the pairs with the largest explained variance.

    The moments of all pairs are computed at once, each over the rows where all three are known.
    """
    rows = ~wanted.isnan()
    terms, goal = terms[rows], wanted[rows]
    seen = (~terms.isnan()).double()
    x, y = terms.nan_to_num(), goal[:, None]
    n = (seen.T @ seen).clamp(min=1)
    mean = x.T @ seen / n  # [i, k]: mean of i over the rows where k is known, too
    goal_mean = (seen * y).T @ seen / n
    variance = (x.square().T @ seen) / n - mean.square()
    goal_variance = ((seen * y.square()).T @ seen / n - goal_mean.square()).clamp(min=1e-30)
    covariance = x.T @ x / n - mean * mean.T
    cross = (x * y).T @ seen / n - mean * goal_mean
    single = cross.square() / variance.clamp(min=1e-30) / goal_variance
    determinant = variance * variance.T - covariance.square()
    pair = cross.square() * variance.T + cross.T.square() * variance
    pair = (pair - 2 * cross * cross.T * covariance) / determinant.clamp(min=1e-30) / goal_variance
    enough = n >= _MIN_ROWS
    single = torch.where(enough, single, 0.0).diagonal()
    is_new = enough & (determinant > 1e-12 * variance * variance.T)
    pair = torch.where(is_new, pair.clamp(max=1), 0.0).triu(1)
    singles = single.argsort(dim=0, stable=True, descending=True)[:_N_SINGLES].tolist()
    order = pair.flatten().argsort(dim=0, stable=True, descending=True)[:_N_PAIRS].tolist()
    pairs = [divmod(place, len(pair)) for place in order]
    return singles, [(i, k) for i, k in pairs if float(pair[i, k]) > 0]


def _robust(terms: Tensor, goal: Tensor, n_trims: int) -> tuple[Tensor, Tensor]:
    """Return intercept and slopes of a least squares fit without outliers, and all residuals."""
    design = torch.cat([torch.ones_like(terms[:, :1]), terms], 1)
    kept = torch.ones_like(goal)
    for _ in range(n_trims):
        coefficients = _solved(design * kept[:, None], goal * kept)
        residuals = goal - design @ coefficients
        size = residuals.abs()
        before, kept = kept, (size <= _OUTLYING * size.median() + 1e-12).double()
        if torch.equal(before, kept):
            break
    return coefficients, residuals


def _solved(design: Tensor, goal: Tensor) -> Tensor:
    """Return the least squares solution, refined once for its last digits."""
    gram = design.T @ design
    scale = gram.diagonal().clamp(min=1e-30).rsqrt()
    gram = gram * scale[:, None] * scale + _RIDGE * torch.eye(len(gram), dtype=gram.dtype)
    factor = torch.linalg.cholesky(gram)
    solution = torch.zeros_like(scale)
    for _ in range(3):
        left = design.T @ (goal - design @ solution)
        step = torch.cholesky_solve((scale * left)[:, None], factor)[:, 0]
        solution = solution + scale * step
    return solution


def _grouped(inputs: Tensor, goal: Tensor, is_mode: bool = False) -> tuple[Tensor, Tensor]:
    """Return distinct inputs in ascending order, and the median or mode of the targets of each."""
    found = np.unique(inputs.numpy(), return_inverse=True, return_counts=True)
    places, group, count = (torch.from_numpy(part) for part in found)
    if is_mode:
        table = torch.zeros(len(places), int(goal.max()) + 1)
        table.index_put_((group, goal.long()), torch.ones(len(goal)), accumulate=True)
        return places, table.argmax(1).double()
    by_goal = goal.argsort(dim=0, stable=True)
    order = by_goal[group[by_goal].argsort(dim=0, stable=True)]
    first = count.cumsum(0) - count
    low, high = goal[order][first + (count - 1) // 2], goal[order][first + count // 2]
    return places, (low + high) / 2
