"""The masked autoencoder of tables, which blends four predictions of each hidden cell."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from latently._layout import Column, Layout
from latently.nn._batch_shard import batch_sum, n_in_batch
from latently.nn._latents import Code, Latent
from latently.nn._layers import total_of
from latently.nn._likelihoods import Likelihood, mean_offset
from latently.nn._module import AutoencoderModule, Cells, RowLoss, Rows
from latently.nn.masked._blend import blend_weights
from latently.nn.masked._columns import (
    category_at,
    category_probabilities,
    other_elements,
    prediction_error,
    tree_target,
)
from latently.nn.masked._conditional import ConditionalGaussian
from latently.nn.masked._forest import Forest, GrownTrees, Leaves, grow
from latently.nn.masked._importance import permutation_importance
from latently.nn.masked._predictive import HeldOutCells, Predictive
from latently.nn.masked._relation_search import HeldOut, RelationSearch
from latently.nn.masked._relations import (
    Answers,
    Relation,
    Relations,
    RelationsSize,
    Units,
    elements_of,
    residual_quantiles,
    scalars_of,
)
from latently.nn.masked._stacked import StackedLinear, StackedTrunk

#: Number of quantile bins of each number.
_N_BINS = 6
_LEAST_BIN = 1e-3
#: Columns are hidden one by one, or in this many groups if there are more.
_MAX_GROUPS = 32
#: Predictors of a cell: normal distribution, networks, trees, and trees on residuals of a linear
#: regression.
N_PREDICTORS = 4
#: Prior weights of the predictors. The networks start as the normal distribution, which therefore
#: has no weight of its own.
_PRIOR = (0.0, 1 / 3, 1 / 3, 1 / 3)
#: Candidate features of each split, as a fraction and at most: for trees on values, and for trees
#: on residuals.
_MAX_FEATURES = ((1.0, 64), (0.5, 32))
#: Permutations of all columns together and at least of each, for its importances.
_N_PERMUTATIONS, _LEAST_PERMUTATIONS = 80, 4
#: Held-out rows of these permutations, at most and at least, and largest number of columns.
_N_PERMUTED_ROWS, _LEAST_PERMUTED_ROWS, _MOST_PERMUTED = 150, 20, 64


class ForestSize(NamedTuple):
    """Number of stored rows, of nodes, and of trees per column of a masked autoencoder."""

    n_rows: int
    n_nodes: int
    n_trees: int


class Fills(NamedTuple):
    """Rows with missing cells filled by the normal distribution, and by the networks."""

    gaussian: Tensor
    networks: Tensor


class Plain(Latent):
    """A code that equals the encoder's output, without a prior."""

    all_used: ClassVar[bool] = True

    def forward(self, hidden: Tensor) -> Code:
        return Code(hidden, hidden, hidden.new_zeros(len(hidden)))

    def draw(self, n_samples: int) -> Tensor:
        raise NotImplementedError


class MaskedModule(AutoencoderModule):
    r"""Predict hidden cells from observed cells.

    1. Missing cells are filled by the conditional mean of a normal distribution.
    2. Small networks predict a correction of the filled row. Their inputs are the filled row, its
       mask, and quantile bins of its numbers. Their last layer starts at zero.
    3. Trees predict each column from the rows that the networks filled, without this column.
    4. The predictions are blended for each column, with weights fitted to held-out cells.

    In training, the rows of a batch are split among the networks. The loss is the loss of the
    hidden cells.

    Parameters
    ----------
    layout : Layout
        Positions and kinds of the columns in the encoded row.
    center : Tensor of shape (width,)
        Mean of the encoded rows.
    n_networks, hidden_size : int
        Number of networks, and width of their hidden layers.
    forest_size : ForestSize
        Number of stored rows, nodes and trees.
    relations_size : RelationsSize or None, default=None
        Sizes of the near-exact relations. None, as in old model files, has none.
    """

    numbers: Tensor
    bin_starts: Tensor
    bin_scales: Tensor
    low: Tensor
    high: Tensor
    regression: Tensor
    intercept: Tensor
    stored: Tensor
    expected: Tensor
    weights: Tensor
    error: Tensor
    reliance: Tensor

    def __init__(
        self,
        layout: Layout,
        center: Tensor,
        n_networks: int,
        hidden_size: int,
        forest_size: ForestSize,
        relations_size: RelationsSize | None = None,
    ) -> None:
        self.columns = layout.columns
        numbers = [i for c in self.columns if c.is_number for i in _range(c.elements)]
        width = layout.width
        n_in = width + layout.n_columns + _N_BINS * len(numbers)
        super().__init__(
            StackedTrunk(n_networks, n_in, hidden_size),
            Plain(width + n_networks * hidden_size),
            StackedLinear(n_networks, hidden_size, width, zero=True),
            Likelihood(layout, torch.zeros(width)),
            center,
        )
        self.n_networks = n_networks
        self.gaussian = ConditionalGaussian(width)
        self.forest = Forest(forest_size.n_nodes, layout.n_columns, forest_size.n_trees)
        self.predictive = Predictive(layout.n_columns)
        self.relations = None if relations_size is None else Relations(relations_size)
        self.register_buffer("numbers", torch.tensor(numbers, dtype=torch.long), persistent=False)
        self.register_buffer("bin_starts", torch.zeros(len(numbers), _N_BINS))
        self.register_buffer("bin_scales", torch.ones(len(numbers), _N_BINS))
        # Double precision, so that values of donors are returned without rounding.
        self.register_buffer("low", torch.zeros(width, dtype=torch.float64))
        self.register_buffer("high", torch.zeros(width, dtype=torch.float64))
        self.register_buffer("regression", torch.zeros(width, width))
        self.register_buffer("intercept", torch.zeros(width))
        self.register_buffer("stored", torch.zeros(forest_size.n_rows, width, dtype=torch.float64))
        self.register_buffer("expected", torch.zeros(forest_size.n_rows, width))
        self.register_buffer("weights", torch.tensor(_PRIOR).repeat(layout.n_columns, 1))
        self.register_buffer("reliance", torch.zeros(layout.n_columns, layout.n_columns))
        self.register_buffer("error", torch.full((layout.n_columns,), torch.nan))

    def check(self) -> None:
        """Raise ValueError if trees or relations refer to rows or columns that do not exist."""
        self.forest.check(len(self.stored), max(self.stored.shape[1], 1))
        if self.relations is not None:
            self.relations.check()

    # ------------------------------------------------------------------ before training
    @torch.no_grad()
    def fit_gaussian(self, cells: Cells) -> None:
        """Fit the normal distribution, its linear regressions and the quantile bins."""
        seen = self._seen(cells)
        self.gaussian.fit(Rows(cells.values, seen))
        self.regression.copy_(self.gaussian.regression(self.likelihood.column_of_element))
        self.intercept.copy_(self.gaussian.mean - self.gaussian.mean @ self.regression)
        numbers = cells.values[:, self.numbers].masked_fill(~seen[:, self.numbers], torch.nan)
        shares = torch.linspace(0, 1, _N_BINS + 1, dtype=torch.float64)
        edges = np.nan_to_num(_nanquantile(numbers.double().numpy(), shares.numpy()))
        bounds = torch.from_numpy(edges).T.to(self.bin_starts)
        self.bin_starts.copy_(bounds[:, :-1])
        self.bin_scales.copy_(1 / bounds.diff(dim=1).clamp(min=_LEAST_BIN))

    @torch.no_grad()
    def fit_range(self, cells: Cells) -> None:
        """Store the smallest and the largest observed value of each element."""
        seen, values = self._seen(cells), cells.values
        self.low.copy_(torch.where(seen, values, torch.inf).amin(0).nan_to_num(posinf=0.0))
        self.high.copy_(torch.where(seen, values, -torch.inf).amax(0).nan_to_num(neginf=0.0))

    @torch.no_grad()
    def refit_gaussian(self, cells: Cells) -> None:
        """Fit the normal distribution again, now also to cells that were held out."""
        self.gaussian.fit(Rows(cells.values, self._seen(cells)))

    # ------------------------------------------------------------------ the networks
    def hidden(self, cells: Cells) -> Tensor:
        """Return the filled rows, concatenated with the hidden layer of each network."""
        filled = self.gaussian(cells.values, self._seen(cells))
        features = self._features(filled, cells)
        outputs = self.encoder(features.expand(self.n_networks, -1, -1))
        return torch.cat([filled, outputs.transpose(0, 1).flatten(1)], 1)

    def decode(self, sample: Tensor) -> Tensor:
        """Return the likelihood's parameters for each code, averaged over the networks."""
        width = self.likelihood.layout.width
        size = (sample.shape[1] - width) // self.n_networks
        hidden = sample[:, width:].view(len(sample), self.n_networks, size).transpose(0, 1)
        learnt = total_of(self.decoder(hidden)) / self.n_networks
        return mean_offset(self.likelihood.layout, sample[:, :width]) + learnt

    def forward(self, inputs: Cells, target: Cells) -> RowLoss:
        """Return the loss of each row over the cells observed in ``target``, hidden in ``inputs``.

        It is scaled so that the mean over the batch is the mean over these cells, times the number
        of columns.
        """
        parameters = (
            self._network_parameters(inputs) if self.training else self.decode(self.hidden(inputs))
        )
        is_target = self._observed(target) & ~self._observed(inputs)
        losses = self.likelihood(parameters, target.values, is_target)
        scale = (
            n_in_batch(is_target) * is_target.shape[1] / batch_sum(is_target.sum(1)).clamp(min=1)
        )
        return RowLoss(losses.sum(1) * scale, losses.new_zeros(len(losses)))

    def _network_parameters(self, cells: Cells) -> Tensor:
        """Split the rows among the networks and return the parameters of each row."""
        n_rows, n_networks = len(cells.values), self.n_networks
        filled = self.gaussian(cells.values, self._seen(cells))
        features = self._features(filled, cells)
        spare = -n_rows % n_networks
        if spare:
            features = torch.cat([features, features[:1].expand(spare, -1)])
        split = features.view(n_networks, len(features) // n_networks, features.shape[1])
        learnt: Tensor = self.decoder(self.encoder(split)).flatten(0, 1)[:n_rows]
        return mean_offset(self.likelihood.layout, filled) + learnt

    def _features(self, filled: Tensor, cells: Cells) -> Tensor:
        bins = (filled[:, self.numbers, None] - self.bin_starts) * self.bin_scales
        return torch.cat([filled, self._observed(cells).to(filled), bins.clamp(0, 1).flatten(1)], 1)

    def _observed(self, cells: Cells) -> Tensor:
        if cells.observed is not None:
            return cells.observed
        shape = len(cells.values), len(self.columns)
        return torch.ones(shape, dtype=torch.bool, device=cells.values.device)

    def _seen(self, cells: Cells) -> Tensor:
        return self.likelihood.spread(self._observed(cells))

    def _fills(self, cells: Cells) -> Fills:
        code = self.hidden(cells)
        gaussian = code[:, : self.likelihood.layout.width]
        networks = self.likelihood.mean(self.decode(code))
        return Fills(gaussian, torch.where(self._seen(cells), cells.values, networks))

    # ------------------------------------------------------------------ after training
    @torch.no_grad()
    def fit_trees(
        self,
        cells: Cells,
        exact: Tensor,
        held: Tensor,
        units: Units,
        n_trees: int,
        n_drawn: int,
        seed: int,
    ) -> None:
        """Grow the trees, fit the weights of the blend, and calibrate the predictive distribution.

        Relations of few columns then replace the blend where their held-out error is far lower.

        Parameters
        ----------
        cells : Cells
            Rows to store as donors.
        exact : Tensor of shape (n_rows, width)
            Values of these rows in their original precision.
        held : Tensor of bool, shape (n_rows, n_columns)
            True for held-out cells, on which the networks were not trained.
        units : Units
            Own units of the columns.
        n_trees : int
            Number of trees of each column, even. Half of them predict values, half residuals of a
            linear regression.
        n_drawn : int
            Largest number of rows that a tree grows on.
        seed : int
            Seed of the random generator.
        """
        rng = np.random.default_rng(seed)
        observed = self._observed(cells)
        # Each held-out cell is left out of one half of the trees, which then predict it.
        side = torch.from_numpy(rng.integers(0, 2, held.shape))
        self.stored = exact.double()
        self.expected = torch.zeros_like(cells.values)
        grown: dict[int, GrownTrees] = {}
        fills: dict[int, Fills] = {}
        for columns, filled in self._hide_columns(cells):
            for column in columns:
                j, part = column.place, column.elements
                if column.is_number:
                    self.expected[:, part] = self._expected(filled.networks, column)
                spared = [held[:, j] & (side[:, j] == t) for t in (0, 1)]
                rows = [
                    _tree_rows(observed[:, j], spared[t % 2], n_drawn, rng) for t in range(n_trees)
                ]
                grown[j] = self._grown(column, filled.networks, rows, rng)
                fills[j] = Fills(*(fill[held[:, j]] for fill in filled))
        self.forest = Forest.of([grown[j] for j in range(len(self.columns))])
        self._record_importances([grown[j].importance for j in range(len(self.columns))])
        scalars = scalars_of(self.stored, observed, self.columns)
        self._calibrate(held, side, fills, rng, scalars, units)
        self._weigh_by_presence(observed)
        if len(self.columns) <= _MOST_PERMUTED:
            for column in self.columns:
                self._permute(column, cells, held, side, rng)

    def _grown(
        self, column: Column, filled: Tensor, rows: list[np.ndarray], rng: np.random.Generator
    ) -> GrownTrees:
        values = tree_target(self.stored[:, column.elements], column)
        left = values
        if column.is_number:
            left = values - self.expected[:, column.elements.start]
        half, features = len(rows) // 2, other_elements(filled, column).float().numpy()
        looked_at = [min(share, most / features.shape[1]) for share, most in _MAX_FEATURES]
        return grow(
            features,
            np.stack([values.numpy()] * half + [left.numpy()] * half),
            rows,
            [looked_at[0]] * half + [looked_at[1]] * half,
            rng.integers(2**31, size=len(rows)),
        )

    def _record_importances(self, importances: list[np.ndarray]) -> None:
        """Store the importance of each other column in the trees of a column; they sum to one."""
        if len(self.columns) == 1:
            return
        whose = self.likelihood.column_of_element
        for column, importance in zip(self.columns, importances, strict=True):
            others = other_elements(whose[None], column)[0]
            self.reliance[column.place].zero_()
            self.reliance[column.place].index_add_(0, others, torch.from_numpy(importance).float())

    def _weigh_by_presence(self, observed: Tensor) -> None:
        """Multiply importances by the fraction of rows that hold a column; they sum to one."""
        weighed = self.reliance * observed.to(self.reliance).mean(0)
        self.reliance.copy_(weighed / weighed.sum(1, keepdim=True).clamp(min=1e-12))

    def _permute(
        self, column: Column, cells: Cells, held: Tensor, side: Tensor, rng: np.random.Generator
    ) -> None:
        """Replace the importances of a column's trees by permutation importances, if possible."""
        place = column.place
        rows = torch.nonzero(held[:, place])[:, 0][:_N_PERMUTED_ROWS]
        likely = self.reliance[place].argsort(descending=True)
        n_tried = max(_N_PERMUTATIONS // len(self.columns), _LEAST_PERMUTATIONS)
        tried = [self.columns[j] for j in likely[:n_tried].tolist() if j != place]
        if len(rows) < _LEAST_PERMUTED_ROWS or not tried:
            return

        def predict(shown: Cells) -> Tensor:
            observed = self._observed(shown).clone()
            observed[:, place] = False
            hidden = Cells(shown.values, observed)
            fills, answers = self._fills(hidden), self._answers(hidden)
            own = self._own_leaves(column, fills.networks, side[rows, place])
            predicted = self._blended(column, self._predictions(column, fills, own))
            if answers is not None:
                self._replace(predicted, column, answers.scalars[:, place])
            return predicted

        grown = permutation_importance(predict, cells.take(rows), column, tried, rng)
        if grown.sum() > 0:
            self.reliance[place] = 0.0
            self.reliance[place, [other.place for other in tried]] = (grown / grown.sum()).float()

    def _own_leaves(self, column: Column, filled: Tensor, side: Tensor) -> Leaves:
        """Return the leaves of held-out cells in the trees that did not grow on them."""
        found = self._leaves(column, filled)
        n_own = found.donors.shape[1] // 2
        return found.take(2 * torch.arange(n_own) + side[:, None])

    def _calibrate(
        self,
        held: Tensor,
        side: Tensor,
        fills: dict[int, Fills],
        rng: np.random.Generator,
        scalars: Tensor,
        units: Units,
    ) -> None:
        """Fit weights, relations, errors and the predictive distribution on held-out cells."""
        leaves, predictions, truths = [], [], []
        for column in self.columns:
            rows = held[:, column.place]
            own = self._own_leaves(column, fills[column.place].networks, side[rows, column.place])
            leaves.append(own)
            predictions.append(self._predictions(column, fills[column.place], own))
            truths.append(self.stored[rows][:, column.elements])
        centers = [self.center[column.elements] for column in self.columns]
        variances = [self._variance(column) for column in self.columns]
        prior = torch.tensor(_PRIOR)
        self.weights.copy_(blend_weights(predictions, truths, centers, variances, prior))
        blended = [self._blended(*each) for each in zip(self.columns, predictions, strict=True)]
        final, is_answered = self._fit_relations(held, blended, truths, scalars, units)
        numbers: dict[int, HeldOutCells] = {}
        for column, predicted, own, truth in zip(
            self.columns, blended, leaves, truths, strict=True
        ):
            place = column.place
            # Cells that relations answer have residuals of their own, unless all cells have.
            left = ~is_answered[place]
            if column.is_number and len(truth) and left.any():
                atoms = self._atoms(column, fills[place].networks, own)
                numbers[place] = HeldOutCells(
                    predicted[left, 0], truth[left, 0], atoms[left], self._bounds(column)
                )
            if not column.is_number:
                chances = category_probabilities(final[place], column.likelihood)
                chosen = category_probabilities(truth.to(chances), column.likelihood)
                self.predictive.fit_categories(place, (chances * chosen).sum(1))
        self.predictive.fit(numbers, rng)

    def _fit_relations(
        self,
        held: Tensor,
        blended: list[Tensor],
        truths: list[Tensor],
        scalars: Tensor,
        units: Units,
    ) -> tuple[list[Tensor], list[Tensor]]:
        """Search relations and store the errors.

        Return the predictions of the held-out cells of each column, and the cells that relations
        answer.
        """
        search = RelationSearch(scalars, self.columns, units)
        found: list[Relation] = []
        for column, predicted in zip(self.columns, blended, strict=True):
            rows = torch.nonzero(held[:, column.place])[:, 0]
            own = HeldOut(rows, tree_target(_decided(predicted.double(), column), column).double())
            found += search.relations_of(column.place, own, self.reliance[column.place])
        predictions, answered = [], []
        for column, predicted, truth in zip(self.columns, blended, truths, strict=True):
            hidden = scalars[held[:, column.place]]
            hidden[:, column.place] = torch.nan
            place = column.place
            only = [relation for relation in found if relation.target == place]
            answers = Relations.of(only, [], units, self.error, self._ends()).answers(hidden)
            final = predicted.clone()
            self._replace(final, column, answers.scalars[:, place])
            self.error[place] = prediction_error(final, truth, column.likelihood)
            predictions.append(final)
            answered.append(answers.relation[:, place] >= 0)
        self.relations = Relations.of(
            found, search.ordered_pairs(), units, self.error.nan_to_num(1.0), self._ends()
        )
        return predictions, answered

    def _variance(self, column: Column) -> float:
        """Return the variance of a column, summed over its elements."""
        if column.is_number:
            return float(column.width)
        share = self.center[column.elements]
        return float((share * (1 - share)).sum())

    def _hide_columns(self, cells: Cells) -> Iterator[tuple[list[Column], Fills]]:
        """Hide each column, or each group of columns of a wide table, and yield its fills."""
        n_groups = min(len(self.columns), _MAX_GROUPS)
        observed = self._observed(cells)
        for group in range(n_groups):
            hidden = observed.clone()
            hidden[:, group::n_groups] = False
            yield (
                list(self.columns[group::n_groups]),
                self._fills(Cells(cells.values, hidden)),
            )

    # ------------------------------------------------------------------ predictions
    def _expected(self, filled: Tensor, column: Column) -> Tensor:
        """Return the linear regression of a column on all other columns, (batch, k)."""
        part = column.elements
        return self.intercept[part] + filled @ self.regression[:, part]

    def _leaves(self, column: Column, filled: Tensor) -> Leaves:
        return self.forest.leaves(column.place, other_elements(filled, column))

    def _predictions(self, column: Column, fills: Fills, leaves: Leaves) -> Tensor:
        """Return the prediction of a column by each predictor, (N_PREDICTORS, batch, k)."""
        part, half = column.elements, leaves.donors.shape[1] // 2
        donors = leaves.donors
        if column.is_number and column.width == 1:
            raw = leaves.means[:, :half].mean(1, keepdim=True)
            moved = leaves.means[:, half:].mean(1, keepdim=True)
        else:
            values = self.stored[:, part].to(fills.networks).contiguous()
            left = (values - self.expected[:, part]).contiguous()
            raw = F.embedding_bag(donors[:, :half], values, mode="mean")
            moved = F.embedding_bag(donors[:, half:], left, mode="mean")
        if column.is_number:
            moved = moved + self._expected(fills.networks, column)
        return torch.stack([fills.gaussian[:, part], fills.networks[:, part], raw, moved])

    def _blended(self, column: Column, predictions: Tensor) -> Tensor:
        part = column.elements
        center = self.center[part]
        weighed = zip(self.weights[column.place], predictions - center, strict=True)
        blend = center + total_of(weight * way for weight, way in weighed)
        blend = blend.clamp(self.low[part].to(blend), self.high[part].to(blend))
        if column.likelihood == "categorical":
            blend = blend / blend.sum(1, keepdim=True).clamp(min=1e-9)
        return blend

    def _atoms(self, column: Column, filled: Tensor, leaves: Leaves) -> Tensor:
        """Return equally likely values of a number, one for each tree, (batch, n_trees)."""
        first, half = column.elements.start, leaves.donors.shape[1] // 2
        raw = self.stored[:, first][leaves.donors[:, :half]]
        left = (self.stored[:, first] - self.expected[:, first])[leaves.donors[:, half:]]
        moved = left + self._expected(filled, column)[:, :1]
        return torch.cat([raw, moved], 1).clamp(*self._bounds(column))

    def _bounds(self, column: Column) -> tuple[float, float]:
        first = column.elements.start
        return float(self.low[first]), float(self.high[first])

    def _ends(self) -> Tensor:
        """Return the smallest and the largest scalar of each column, shape (2, n_columns)."""
        ends = [
            self._bounds(column) if column.is_number else (0.0, float(column.width))
            for column in self.columns
        ]
        return torch.tensor(ends, dtype=torch.float64).T

    def _predicted(self, column: Column, fills: Fills) -> Tensor:
        leaves = self._leaves(column, fills.networks)
        return self._blended(column, self._predictions(column, fills, leaves))

    def _replace(self, predicted: Tensor, column: Column, answers: Tensor) -> None:
        """Replace predictions of a column where ``answers`` is not NaN, in place."""
        rows = ~answers.isnan()
        known = answers[rows]
        if column.is_number:
            predicted[rows, 0] = known.to(predicted)
        else:
            predicted[rows] = elements_of(known, column).to(predicted)

    def _answers(self, cells: Cells) -> Answers | None:
        """Return the predictions of missing cells by relations, None without relations."""
        if self.relations is None or not len(self.relations.kind):
            return None
        scalars = scalars_of(cells.values, self._observed(cells), self.columns)
        return self.relations.answers(scalars)

    def constrained(self, filled: Tensor, cells: Cells) -> Tensor:
        """Return filled rows whose numbers satisfy the exact relations and the orders of columns.

        Parameters
        ----------
        filled : Tensor of shape (..., batch, width)
            Encoded rows without gaps.
        cells : Cells
            The same rows before. Their observed cells stay unchanged.

        Returns
        -------
        Tensor of shape (..., batch, width)
            Rows in which missing numbers are moved.
        """
        relations = self.relations
        if relations is None or not (len(relations.kind) or len(relations.ordered)):
            return filled
        rows = filled.reshape(-1, filled.shape[-1])
        observed = self._observed(cells).repeat(len(rows) // len(cells.values), 1)
        scalars = scalars_of(rows, torch.ones_like(observed), self.columns)
        moved, answer = relations.constrained(scalars, observed), rows.clone()
        for column in self.columns:
            if column.is_number:
                first = column.elements.start
                own = moved[:, column.place].to(rows)
                answer[:, first] = torch.where(observed[:, column.place], rows[:, first], own)
        return answer.view(filled.shape)

    def fill(self, cells: Cells) -> Tensor:
        """Return encoded rows with missing cells filled by their expectation, (batch, width)."""
        if cells.observed is None:
            return cells.values
        filled, fills, answers = cells.values.clone(), self._fills(cells), self._answers(cells)
        for column, rows in self._gaps(cells):
            predicted = self._predicted(column, Fills(*(fill[rows] for fill in fills)))
            predicted = predicted.to(filled)
            if answers is not None:
                self._replace(predicted, column, answers.scalars[rows, column.place])
            filled[rows, column.elements] = predicted
        return self.constrained(filled, cells)

    def quantiles(self, cells: Cells, levels: Tensor, nominal: Tensor) -> Tensor:
        """Return encoded rows with missing cells filled by quantiles of their distribution.

        Parameters
        ----------
        cells : Cells
            Rows with missing cells.
        levels : Tensor of shape (n_levels, batch, n_columns)
            Levels of the quantiles, from 0 to 1. Categories are ordered as in the encoded row.
        nominal : Tensor of shape (n_levels, batch, n_columns)
            The same before calibration, for cells that a relation predicts.

        Returns
        -------
        Tensor of shape (n_levels, batch, width)
            Rows in which observed cells are unchanged.
        """
        filled = cells.values.repeat(len(levels), 1, 1)
        if cells.observed is None:
            return filled
        fills, answers = self._fills(cells), self._answers(cells)
        for column, rows in self._gaps(cells):
            own = Fills(*(fill[rows] for fill in fills))
            leaves = self._leaves(column, own.networks)
            blended = self._blended(column, self._predictions(column, own, leaves))
            wanted = levels[:, rows, column.place]
            if column.is_number:
                # Of a date, only the first element is decoded, which determines the others.
                atoms = self._atoms(column, own.networks, leaves)
                found = self.predictive.quantiles(
                    column.place, blended[:, 0], atoms, wanted, self._bounds(column)
                )
                filled[:, rows, column.elements.start] = found.to(filled)
            else:
                found = category_at(blended, wanted, column.likelihood)
                filled[:, rows, column.elements] = found.to(filled)
            if answers is not None:
                self._replace_quantiles(filled, column, answers, nominal)
        return filled

    def _replace_quantiles(
        self, filled: Tensor, column: Column, answers: Answers, levels: Tensor
    ) -> None:
        """Replace quantiles of the cells of a column that relations predict, in place."""
        assert self.relations is not None
        place = column.place
        which = answers.relation[:, place]
        rows = torch.nonzero(which >= 0)[:, 0]
        answer = answers.scalars[rows, place]
        if column.is_number:
            left = residual_quantiles(self.relations.residuals[which[rows]], levels[:, rows, place])
            filled[:, rows, column.elements.start] = (answer + left).to(filled)
        else:
            filled[:, rows, column.elements] = elements_of(answer, column).to(filled)

    def deviates(self, cells: Cells, noise: Tensor) -> Tensor:
        """Return correlated standard normal deviates for the missing cells of each row.

        Parameters
        ----------
        cells : Cells
            Rows with missing cells.
        noise : Tensor of shape (n_draws, batch, gaussian.n_noise)
            Independent standard normal numbers.

        Returns
        -------
        Tensor of shape (n_draws, batch, n_columns)
            Deviates with the conditional correlation of the missing cells given the observed ones.
        """
        drawn = self.gaussian.deviates(self._seen(cells), noise)
        return drawn[:, :, self.likelihood.layout.first_elements]

    def _gaps(self, cells: Cells) -> Iterator[tuple[Column, Tensor]]:
        observed = self._observed(cells)
        for column in self.columns:
            rows = torch.nonzero(~observed[:, column.place])[:, 0]
            if len(rows):
                yield column, rows

    def reconstruct(self, cells: Cells) -> Tensor:
        """Return the prediction of each cell from the other cells, shape (batch, width)."""
        rebuilt = torch.zeros_like(cells.values)
        for columns, fills in self._hide_columns(cells):
            observed = self._observed(cells).clone()
            observed[:, [column.place for column in columns]] = False
            answers = self._answers(Cells(cells.values, observed))
            for column in columns:
                predicted = self._predicted(column, fills).to(rebuilt)
                if answers is not None:
                    self._replace(predicted, column, answers.scalars[:, column.place])
                rebuilt[:, column.elements] = predicted
        if cells.observed is None:
            return rebuilt
        return torch.where(self._seen(cells), rebuilt, self.fill(cells))

    def cell_errors(self, cells: Cells) -> Tensor:
        """Return half the deviance of each cell from its prediction, (batch, n_columns)."""
        parameters = mean_offset(self.likelihood.layout, self.reconstruct(cells))
        losses: Tensor = self.likelihood(parameters, cells.values, cells.observed)
        return (losses - self.likelihood.least(cells.values, cells.observed)).clamp(min=0)


def _decided(predicted: Tensor, column: Column) -> Tensor:
    """Return predictions in which ordered categories are steps; others stay as they are."""
    return (predicted > 0.5).to(predicted) if column.likelihood == "bernoulli" else predicted


def _range(part: slice) -> range:
    return range(part.start, part.stop)


def _nanquantile(values: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """Return quantiles of each column, NaN for a column without any value."""
    quantiles = np.full((len(shares), values.shape[1]), np.nan)
    some = ~np.isnan(values).all(0)
    if some.any():
        quantiles[:, some] = np.nanquantile(values[:, some], shares, axis=0)
    return quantiles


def _tree_rows(
    observed: Tensor, spared: Tensor, n_drawn: int, rng: np.random.Generator
) -> np.ndarray:
    """Return at most ``n_drawn`` observed rows that are not held out, in random order."""
    places = torch.nonzero(observed & ~spared)[:, 0].numpy()
    if len(places) == 0:
        places = np.arange(len(observed))
    # The order matters: the last row of a leaf becomes its donor.
    return rng.permutation(places)[:n_drawn]
