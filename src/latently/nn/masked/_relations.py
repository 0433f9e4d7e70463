"""Near-exact relations of few columns, which replace the blend, and constraints on fills."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from latently._layout import Column
from latently.nn._layers import total_of
from latently.nn.masked._columns import tree_target

#: Kinds of relations, by their number in ``Relations.kind``.
LINEAR, LOG, CURVE, CODES = range(4)
#: Groups of columns, of which only those of one group are compared. Categories are in none.
NO_GROUP, NUMBER, INSTANT, SPAN, CLOCK = range(-1, 4)
#: Groups whose zero has a meaning, so that their logarithms have one.
HAS_ZERO = (NUMBER, SPAN)
#: Largest number of inputs of a relation.
MAX_INPUTS = 4
#: Number of quantiles by which the residuals of a relation are stored.
N_RESIDUALS = 60
#: Relations are exact up to this held-out error, in standard deviations, if the error is also at
#: most this share of the smallest slope. Otherwise it could hide a change of that input.
EXACT, _SHARE_OF_SLOPE = 1e-6, 1e-3
#: Codes that differ by less are equal, in standard deviations.
_SAME = 1e-6
#: Largest prediction beyond the training rows, in standard deviations.
_FARTHEST = 1e15
#: Passes in which cells filled by exact relations are inputs of others, and sweeps of projections.
_N_PASSES, _N_SWEEPS = 3, 50


class Units(NamedTuple):
    """Own units of the columns: value = scalar * scale + zero.

    Attributes
    ----------
    scale, zero : Tensor of shape (n_columns,)
        One and zero for categories. Instants are in seconds since a common origin.
    group : Tensor of int64, shape (n_columns,)
        ``NO_GROUP``, ``NUMBER``, ``INSTANT``, ``SPAN`` or ``CLOCK``.
    """

    scale: Tensor
    zero: Tensor
    group: Tensor


@dataclass(frozen=True, eq=False)
class Relation:
    """A relation of a target column and few inputs.

    Attributes
    ----------
    kind : int
        ``LINEAR`` in standardised numbers, ``LOG`` in logarithms of absolute numbers in own units,
        ``CURVE`` for a piecewise linear function of one number, ``CODES`` for a table of codes.
    target : int
        Column that is predicted.
    inputs : tuple of int
        Columns from which it is predicted.
    coefficients : Tensor of shape (1 + n_inputs,)
        Intercept and slopes.
    knots : Tensor of shape (2, n_knots)
        Ascending inputs and their targets, of curves and codes.
    sign : float
        Sign of the target for positive inputs, of logarithms.
    error : float
        Root mean squared error on held-out cells without the largest errors, or the fraction of
        wrong categories.
    residuals : Tensor of shape (N_RESIDUALS,) or None
        Quantiles of held-out residuals, None before they are known.
    """

    kind: int
    target: int
    inputs: tuple[int, ...]
    coefficients: Tensor
    knots: Tensor
    sign: float = 1.0
    error: float = 0.0
    residuals: Tensor | None = None

    @property
    def is_exact(self) -> bool:
        """True if the relation determines its target up to rounding."""
        least = float(self.coefficients[1:].abs().min()) if self.kind == LINEAR else 1.0
        return self.error <= min(EXACT, _SHARE_OF_SLOPE * least)


def scalars_of(values: Tensor, observed: Tensor, columns: tuple[Column, ...]) -> Tensor:
    """Return one number for each cell, NaN where missing, shape (n_rows, n_columns).

    It is the standardised number, or the index of the category.
    """
    found = [tree_target(values[:, column.elements], column).double() for column in columns]
    return torch.stack(found, 1).masked_fill(~observed, torch.nan)


def elements_of(scalars: Tensor, column: Column) -> Tensor:
    """Return the elements of a category, by its index, shape (n_rows, width)."""
    whole = scalars.round().long()
    if column.likelihood == "categorical":
        return F.one_hot(whole.clamp(0, column.width - 1), column.width).to(scalars)
    steps = torch.arange(column.width, device=scalars.device)
    return (whole[:, None] > steps).to(scalars)


def predicted_by(relation: Relation, scalars: Tensor, units: Units) -> Tensor:
    """Return the target of each row, NaN where an input is missing or the relation is undefined."""
    inputs = scalars[:, list(relation.inputs)]
    if relation.kind in (CURVE, CODES):
        return _looked_up(inputs[:, 0].contiguous(), relation.knots, relation.kind == CURVE)
    chosen = list(relation.inputs)
    own = inputs
    if relation.kind == LOG:
        own = inputs * units.scale[chosen] + units.zero[chosen]
    terms = own.abs().log() if relation.kind == LOG else own
    slopes = relation.coefficients[1:]
    total = relation.coefficients[0] + total_of(terms[:, i] * b for i, b in enumerate(slopes))
    if relation.kind == LOG:
        size = total.exp() * own.sign().prod(1) * relation.sign
        total = (size - units.zero[relation.target]) / units.scale[relation.target]
    return torch.where(total.isfinite(), total, torch.nan)


def residual_quantiles(residuals: Tensor, levels: Tensor) -> Tensor:
    """Return quantiles of residuals.

    Parameters
    ----------
    residuals : Tensor of shape (n_rows, N_RESIDUALS)
        Residuals of each row in ascending order.
    levels : Tensor of shape (n_levels, n_rows)
        Levels from 0 to 1.

    Returns
    -------
    Tensor of shape (n_levels, n_rows)
        Quantiles by linear interpolation.
    """
    place = (levels.to(residuals) * N_RESIDUALS - 0.5).clamp(0, N_RESIDUALS - 1)
    before = place.floor().long().clamp(max=N_RESIDUALS - 2)
    rows = torch.arange(len(residuals), device=residuals.device)
    return torch.lerp(residuals[rows, before], residuals[rows, before + 1], place - before)


def _looked_up(inputs: Tensor, knots: Tensor, is_curve: bool) -> Tensor:
    """Return a piecewise linear function of the inputs, or the targets of equal inputs."""
    places, targets = knots
    after = torch.searchsorted(places.contiguous(), inputs.nan_to_num(nan=0.0))
    after, before = after.clamp(max=len(places) - 1), (after - 1).clamp(min=0)
    low, high = places[before], places[after]
    share = ((inputs - low) / (high - low).clamp(min=1e-300)).clamp(0, 1)
    if is_curve:
        return torch.lerp(targets[before], targets[after], share)
    nearest = torch.where(share < 0.5, before, after)
    is_known = (places[nearest] - inputs).abs() < _SAME
    return torch.where(is_known, targets[nearest], torch.nan)


class RelationsSize(NamedTuple):
    """Number of columns, relations, knots of all relations, and ordered pairs of columns."""

    n_columns: int
    n_relations: int
    n_knots: int
    n_ordered: int

    @classmethod
    def of_shapes(cls, shapes: Mapping[str, tuple[int, ...]]) -> RelationsSize:
        """Return the sizes of the relations of a saved module, from the shapes of its tensors."""
        return cls(
            shapes["relations.scale"][0],
            shapes["relations.kind"][0],
            shapes["relations.knots"][1],
            shapes["relations.ordered"][0],
        )


class Answers(NamedTuple):
    """Predictions by relations.

    Attributes
    ----------
    scalars : Tensor of shape (n_rows, n_columns)
        One number for each cell, as of ``scalars_of``; NaN where no relation applies.
    relation : Tensor of int64, shape (n_rows, n_columns)
        Index of the relation, or -1.
    """

    scalars: Tensor
    relation: Tensor


class Relations(nn.Module):
    """Relations that predict cells, and pairs of columns of which the first is never larger.

    Parameters
    ----------
    size : RelationsSize
        Sizes of the buffers.
    """

    ends: Tensor
    scale: Tensor
    zero: Tensor
    group: Tensor
    kind: Tensor
    target: Tensor
    inputs: Tensor
    coefficients: Tensor
    sign: Tensor
    error: Tensor
    residuals: Tensor
    knots: Tensor
    stops: Tensor
    ordered: Tensor
    column_error: Tensor

    def __init__(self, size: RelationsSize) -> None:
        super().__init__()
        n, double, short = size.n_relations, torch.float64, torch.int16
        shapes = {
            "ends": (2, size.n_columns), "scale": (size.n_columns,), "zero": (size.n_columns,),
            "sign": (n,), "error": (n,), "column_error": (size.n_columns,),
            "coefficients": (n, 1 + MAX_INPUTS), "residuals": (n, N_RESIDUALS),
            "knots": (2, size.n_knots),
        }  # fmt: skip
        for name, shape in shapes.items():
            self.register_buffer(name, torch.zeros(shape, dtype=double))
        counts = {
            "group": (size.n_columns,), "kind": (n,), "target": (n,), "inputs": (n, MAX_INPUTS),
            "ordered": (size.n_ordered, 2),
        }  # fmt: skip
        for name, whole in counts.items():
            self.register_buffer(name, torch.zeros(whole, dtype=short))
        self.register_buffer("stops", torch.zeros(n, dtype=torch.int32))

    @classmethod
    def of(
        cls,
        found: list[Relation],
        ordered: list[tuple[int, int]],
        units: Units,
        error: Tensor,
        ends: Tensor,
    ) -> Relations:
        """Return the module of relations that were found.

        Parameters
        ----------
        found : list of Relation
            Relations in the order in which they are tried.
        ordered : list of (int, int)
            Pairs of columns of which the first is never larger.
        units : Units
            Own units of the columns.
        error : Tensor of shape (n_columns,)
            Held-out error of each column, in standard deviations.
        ends : Tensor of shape (2, n_columns)
            Smallest and largest value of each column, beyond which exact relations predict only.
        """
        n_knots = [relation.knots.shape[1] for relation in found]
        made = cls(RelationsSize(len(error), len(found), sum(n_knots), len(ordered)))
        made.scale.copy_(units.scale)
        made.zero.copy_(units.zero)
        made.group.copy_(units.group)
        made.column_error.copy_(error)
        made.ends.copy_(ends)
        made.ordered.copy_(torch.tensor(ordered, dtype=torch.int16).view(-1, 2))
        made.inputs.fill_(-1)
        for place, relation in enumerate(found):
            made.kind[place], made.target[place] = relation.kind, relation.target
            made.inputs[place, : len(relation.inputs)] = torch.tensor(relation.inputs).short()
            made.coefficients[place, : len(relation.coefficients)] = relation.coefficients
            made.sign[place], made.error[place] = relation.sign, relation.error
            if relation.residuals is not None:
                made.residuals[place] = relation.residuals
        if found:
            made.stops.copy_(torch.tensor(n_knots).cumsum(0))
            made.knots.copy_(torch.cat([relation.knots for relation in found], 1))
        return made

    @property
    def units(self) -> Units:
        """Own units of the columns."""
        return Units(self.scale, self.zero, self.group)

    @property
    def found(self) -> list[Relation]:
        """The relations, in the order in which they are tried."""
        listed, start = [], 0
        numbers = zip(self.kind.tolist(), self.target.tolist(), self.inputs.tolist(),
                      self.sign.tolist(), self.error.tolist(), self.stops.tolist(),
                      strict=True)  # fmt: skip
        for place, (kind, target, padded, sign, error, stop) in enumerate(numbers):
            inputs = tuple(column for column in padded if column >= 0)
            coefficients = self.coefficients[place, : 1 + len(inputs)]
            knots, start = self.knots[:, start:stop], stop
            residuals = self.residuals[place]
            listed.append(
                Relation(kind, target, inputs, coefficients, knots, sign, error, residuals)
            )
        return listed

    def check(self) -> None:
        """Raise ValueError if the relations refer to columns or knots that do not exist."""
        n_columns = len(self.scale)
        inside = (self.inputs >= -1) & (self.inputs < n_columns)
        starts = torch.cat([torch.zeros(1, dtype=torch.int32), self.stops])
        has_knots = (self.kind >= CURVE) & (self.kind <= CODES)
        of_group = self.group[self.target.clamp(0, n_columns - 1).long()]
        sound = (
            bool((inside & (self.inputs != self.target[:, None])).all())
            and bool(((self.target >= 0) & (self.target < n_columns)).all())
            and bool(((self.ordered >= 0) & (self.ordered < n_columns)).all())
            and bool(((self.kind >= LINEAR) & (self.kind <= CODES)).all())
            and bool(((starts.diff() > 0) == has_knots).all())
            and int(starts[-1]) == self.knots.shape[1]
            and bool(((self.group >= NO_GROUP) & (self.group <= CLOCK)).all())
            and bool((has_knots | (of_group != NO_GROUP)).all())
            and bool((self.inputs[:, :1] >= 0).all())
            and all(bool((r.knots[0].diff() > 0).all()) for r in self.found)
        )
        if not sound:
            raise ValueError("a relation of columns does not exist")

    # ------------------------------------------------------------------ results
    def answers(self, scalars: Tensor) -> Answers:
        """Predict missing cells from observed ones.

        Cells that exact relations fill are inputs of other relations.

        Parameters
        ----------
        scalars : Tensor of shape (n_rows, n_columns)
            One number for each cell, NaN where missing.
        """
        known = scalars.clone()
        answer = torch.full_like(scalars, torch.nan)
        which = torch.full(scalars.shape, -1, device=scalars.device)
        found = self.found
        is_exact = torch.tensor([relation.is_exact for relation in found], device=scalars.device)
        for _ in range(_N_PASSES if found else 0):
            before = which
            which = which.clone()
            for place, relation in enumerate(found):
                j = relation.target
                predicted = predicted_by(relation, known, self.units)
                low, high = (
                    (-_FARTHEST, _FARTHEST) if relation.is_exact else self.ends[:, j].tolist()
                )
                predicted = predicted.clamp(low, high)
                is_new = known[:, j].isnan() & (which[:, j] < 0) & ~predicted.isnan()
                answer[:, j] = torch.where(is_new, predicted, answer[:, j])
                which[:, j] = torch.where(is_new, place, which[:, j])
            exact = is_exact[which.clamp(min=0)] & (which >= 0)
            known = torch.where(exact, answer, known)
            if torch.equal(before, which):
                break
        return Answers(answer, which)

    def constrained(self, scalars: Tensor, observed: Tensor) -> Tensor:
        """Move filled cells to the nearest values that satisfy the exact relations and the orders.

        Distances are measured in the held-out errors of the columns.

        Parameters
        ----------
        scalars : Tensor of shape (n_rows, n_columns)
            One number for each cell, without gaps.
        observed : Tensor of bool, shape (n_rows, n_columns)
            True for cells that stay unchanged.
        """
        freedom = (self.column_error.square() + EXACT**2).where(~observed, 0.0)
        moved = scalars.clone()
        exact = [r for r in self.found if r.kind == LINEAR and r.is_exact]
        for _ in range(_N_SWEEPS):
            before = moved.clone()
            for relation in exact:
                self._project(moved, freedom, relation)
            self._put_in_order(moved, freedom)
            # Row by row, so that the result of a row does not depend on the batch.
            is_open = (moved - before).abs().amax(1, keepdim=True) > EXACT
            freedom = freedom.where(is_open, 0.0)
            if not is_open.any():
                break
        return moved.clamp(-_FARTHEST, _FARTHEST)

    def _project(self, moved: Tensor, freedom: Tensor, relation: Relation) -> None:
        """Move the cells of one linear relation onto it, in place."""
        involved = [relation.target, *relation.inputs]
        slopes = torch.cat([relation.coefficients.new_full((1,), -1.0), relation.coefficients[1:]])
        excess = relation.coefficients[0] + total_of(
            moved[:, column] * slope for column, slope in zip(involved, slopes, strict=True)
        )
        loose = freedom[:, involved] * slopes
        scale = total_of(loose[:, i] * slope for i, slope in enumerate(slopes))
        step = torch.where(scale > 0, excess / scale.clamp(min=1e-300), 0.0)
        moved[:, involved] -= step[:, None] * loose

    def _put_in_order(self, moved: Tensor, freedom: Tensor) -> None:
        """Move cells of ordered pairs that are in the wrong order to a common value, in place."""
        for first, second in self.ordered.tolist():
            # In the larger of both units, so that squares of extreme scales do not overflow.
            unit = self.scale[[first, second]].max()
            scales, zeros = self.scale[[first, second]] / unit, self.zero[[first, second]] / unit
            own = moved[:, [first, second]] * scales + zeros
            loose = freedom[:, [first, second]] * scales.square()
            total = loose.sum(1)
            wrong = (own[:, 0] > own[:, 1]) & (total > 0)
            share = loose / total.clamp(min=1e-300)[:, None]
            gap = torch.where(wrong, own[:, 1] - own[:, 0], 0.0)
            moved[:, first] += gap * share[:, 0] / scales[0]
            moved[:, second] -= gap * share[:, 1] / scales[1]
