"""``ImputationAutoencoder``, which predicts hidden cells and fills missing ones."""

from __future__ import annotations

import math
from dataclasses import KW_ONLY, dataclass
from numbers import Integral, Real
from pathlib import Path
from typing import Any, ClassVar, Literal, Self, cast

import numpy as np
import torch
from torch import Tensor

from latently._sklearn import HasMethods, Interval, StrOptions
from latently._validation import MIN_ROWS, Input, read_input
from latently.estimators._base import BaseAutoencoder
from latently.estimators._protocol import AutoencoderTags, FillQuality, Fitted, ModelT, fitted_of
from latently.estimators._seeding import seeded
from latently.estimators.fit._effort import EFFORT_CONSTRAINT, Effort, scaled
from latently.estimators.fit._prepare import (
    LIMIT_CONSTRAINTS,
    MAX_CATEGORIES_CONSTRAINT,
    check_pairs_memory,
    check_rows_memory,
    chunk_options,
    deadline,
    encode,
    extended_preprocessor,
    in_canonical_order,
    is_image_stack,
    make_preprocessor,
    to_training_data,
)
from latently.estimators.fit._run_loop import run_loop
from latently.estimators.models._common_docs import document
from latently.estimators.models._units import units_of
from latently.exceptions import DataError
from latently.nn import Cells, ForestSize, MaskedModule, Masking, RelationsSize
from latently.preprocessing import MAX_CATEGORIES, TablePreprocessor
from latently.training import (
    ENGINE_METHODS,
    Engine,
    TrainingData,
    TrainingOptions,
    checkpointing,
)

#: Cells hidden in training, at a rate that is drawn for each row.
_MASKING = Masking((0.1, 0.5))
#: Rows per step, divided among the networks.
_BATCH = 768
#: Few rows are repeated to this many batches, so that no small batch ends a pass.
_FULL_BATCHES = 8
#: Bounds of the "auto" number of steps, which otherwise is two passes over the rows.
_MIN_STEPS, _MAX_STEPS = 600, 6_000
_N_EVALUATIONS = 12
#: Rows stored as donors. Wide tables store fewer, because each is filled once per column.
_MIN_DONORS, _MAX_DONORS, _DONOR_ELEMENTS = 2_000, 10_000, 300_000
#: Rows on which a tree is grown, and nodes of all trees, which bound these rows in wide tables.
_MIN_TREE_ROWS, _MAX_TREE_ROWS, _NODES = 100, 2_000, 6_000_000
#: Trees per column, and of all columns, which bounds the former in wide tables.
_MIN_TREES, _MAX_TREES, _ALL_TREES = 16, 60, 900
#: Minimum number of rows to hold out cells.
_MIN_ROWS_TO_HOLD = 20


@document
@dataclass(eq=False, repr=False)
class ImputationAutoencoder(BaseAutoencoder):
    """Masked autoencoder, which predicts the hidden cells of a table from the others [1]_.

    Predictions are a weighted mean of several methods:

    1. A multivariate normal distribution fills the missing cells of a row [2]_.
    2. Small networks learn the residuals of that distribution.
    3. Trees predict a column from the other columns of the filled row [3]_.

    Where two to five columns determine each other nearly exactly, as copies, sums, ratios, dates at
    a fixed distance and codes do, this relation predicts the cell alone, without shrinkage.
    Filled cells also keep the exact sums and the orders of columns that the training rows keep.

    Held-out cells determine the weights of the methods in each column and calibrate the prediction
    intervals. Complete rows are not needed. Unseen rows are filled without another fit. The time
    is linear in the number of rows.

    Parameters
    ----------
    hidden_size : int, default=64
        Width of each network. Larger ones fit finer relations of large tables and take longer.
    n_networks : int, default=3
        Number of networks whose predictions are averaged. Each is trained on rows of its own.
        More networks reduce the variance.
    n_trees : int or "auto", default="auto"
        Number of trees per column, rounded down to a multiple of four. "auto" takes 60, fewer in
        tables of more than 15 columns, but at least 16. More trees reduce the variance and make
        the model file larger.
    max_epochs : int or "auto", default="auto"
        Number of passes over the rows. "auto" takes 600 to 6,000 steps.
    batch_size : int or "auto", default="auto"
        Rows per step, divided among the networks. "auto" takes 768.
    learning_rate : float, default=3e-3
        Maximum learning rate of AdamW, reached after a warm-up and followed by cosine decay.
    weight_decay : float, default=0.01
        Weight decay of AdamW.
    gradient_clip : float or None, default=0.3
        Maximum norm of the gradient. None turns clipping off.
    effort : {"fast", "balanced", "thorough"}, default="balanced"
        Multiplier of the "auto" steps and trees: "fast" takes a quarter of them, "thorough" four
        times as many.
    validation_fraction : float, default=0.1
        Fraction of the cells held out to weight the methods and to calibrate the prediction
        intervals. With zero, fixed weights are used and no interval is calibrated.
    {categories}
    {limits}
    engine : str or Engine, default="auto"
        Where to train: "auto", "cpu", "cuda", "mps", "torchrun", "ray" or an engine, such as
        ``RayEngine(4)``.
    random_state : int, RandomState or None, default=None
        Random state. The same seed gives the same model.
    verbose : bool, default=False
        If True, show the progress of the training.

    Attributes
    ----------
    n_components_ : int
        Size of the code, which contains the filled row and the hidden units of the networks.
    module_ : MaskedModule
        The torch module.
    preprocessor_ : TablePreprocessor
        Scaling and encoding of the columns.
    history_ : History
        Loss at each evaluation, in nats per hidden cell.
    interrupted_ : bool
        True if training was interrupted by Ctrl-C.
    n_features_in_ : int
        Number of columns seen in ``fit``.
    feature_names_in_ : ndarray of str
        Names of the columns. Present if the input had names.

    References
    ----------
    .. [1] He et al. (2022), Masked Autoencoders Are Scalable Vision Learners.
    .. [2] Little and Rubin (2019), Statistical Analysis with Missing Data, chapter 11.
    .. [3] Stekhoven and Buehlmann (2012), MissForest.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> X = load_iris().data
    >>> model = ImputationAutoencoder(max_epochs=20, random_state=0).fit(X)
    >>> rows = X[:2].copy()
    >>> rows[0, 2] = float("nan")
    >>> bool(abs(model.reconstruct(rows)[0, 2] - X[0, 2]) < 0.5)
    True
    """

    hidden_size: int = 64
    _: KW_ONLY
    n_networks: int = 3
    n_trees: int | Literal["auto"] = "auto"
    max_epochs: int | Literal["auto"] = "auto"
    batch_size: int | Literal["auto"] = "auto"
    learning_rate: float = 3e-3
    weight_decay: float = 0.01
    gradient_clip: float | None = 0.3
    effort: Effort = "balanced"
    validation_fraction: float = 0.1
    max_categories: int = MAX_CATEGORIES
    time_limit: float | None = None
    max_memory: float | None = None
    engine: str | Engine = "auto"
    random_state: int | np.random.RandomState | None = None
    verbose: bool = False

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "hidden_size": [Interval(Integral, 1, None, closed="left")],
        "n_networks": [Interval(Integral, 1, None, closed="left")],
        "n_trees": [Interval(Integral, 4, None, closed="left"), StrOptions({"auto"})],
        "max_epochs": [Interval(Integral, 1, None, closed="left"), StrOptions({"auto"})],
        "batch_size": [Interval(Integral, 1, None, closed="left"), StrOptions({"auto"})],
        "learning_rate": [Interval(Real, 0, None, closed="neither")],
        "weight_decay": [Interval(Real, 0, None, closed="left")],
        "gradient_clip": [Interval(Real, 0, None, closed="neither"), None],
        "effort": EFFORT_CONSTRAINT,
        "validation_fraction": [Interval(Real, 0, 0.5, closed="left")],
        "max_categories": MAX_CATEGORIES_CONSTRAINT,
        **LIMIT_CONSTRAINTS,
        "engine": [str, HasMethods(ENGINE_METHODS)],
        "random_state": ["random_state"],
        "verbose": ["boolean"],
    }
    _searched: ClassVar[dict[str, Any]] = {"hidden_size": (32, 256, "log"), "n_networks": (1, 6)}

    def fit(self, X: Any, y: Any = None, *, checkpoint: str | Path | None = None) -> Self:
        """Learn to predict each cell from the others.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features), DataFrame or Table
            Training rows. Any cell may be missing.
        y : None
            Ignored.
        checkpoint : str or Path or None, default=None
            Folder in which the training is saved and from which it is resumed. See
            ``checkpointing``.

        Returns
        -------
        self
            The fitted estimator.

        Raises
        ------
        ParameterError
            If a parameter has a wrong value.
        DataError
            If the rows cannot be used.
        DivergenceError
            If training diverged three times.
        ResourceError
            If the fit needs more memory than is free, or than ``max_memory`` allows. The need
            grows with the square of the number of columns.
        """
        self._check_parameters()
        data = _check_table(read_input(self, X, reset=True, min_rows=MIN_ROWS, is_declared=True))
        self._check_pairs_memory(data.shape[1])
        seed = self._draw_seed()
        data = in_canonical_order(data, None, None).data
        self.preprocessor_ = make_preprocessor(data, "gaussian", self.max_categories)
        check_rows_memory(self.preprocessor_, data, None, self.max_memory)
        self._check_pairs_memory(self.preprocessor_.layout.width)
        cells = encode(self.preprocessor_, data, fitting=True)
        with checkpointing(checkpoint), seeded(seed):
            self._fit_encoded(cells, seed)
        self._next_seed = seed + 1
        return self

    def partial_fit(self, X: Any, y: Any = None) -> Self:
        """Train the networks for one pass over the next rows, at a constant learning rate.

        The first call is ``fit``, which fixes columns, categories, scaling, trees and the weights
        of the methods.

        Parameters
        ----------
        X : array-like, DataFrame or Table
            Next rows.
        y : None
            Ignored.

        Returns
        -------
        self
            The updated estimator.

        Raises
        ------
        DataError
            If the rows cannot be used.
        """
        if not hasattr(self, "module_"):
            return self.fit(X)
        data = _check_table(fitted_of(self).validate(X))
        cells = encode(self.preprocessor_, data, fitting=True)
        self.preprocessor_ = extended_preprocessor(self.preprocessor_, cells)
        rows = to_training_data(cells, None, None)
        with seeded(self._next_seed):
            run_loop(self, rows, None, chunk_options(self, rows.n_rows, self._next_seed), _MASKING)
        self._next_seed += 1
        return self

    def _check_pairs_memory(self, width: int) -> None:
        check_pairs_memory(width, 2 * int(self.n_networks) * int(self.hidden_size), self.max_memory)

    def _fit_encoded(self, cells: Cells, seed: int) -> None:
        """Train the networks on all but some held-out cells of the donors, then grow the trees."""
        n_rows, layout = len(cells.values), self.preprocessor_.layout
        n_donors = min(max(_DONOR_ELEMENTS // layout.width, _MIN_DONORS), _MAX_DONORS, n_rows)
        module = self._module(_means(cells, self.preprocessor_), ForestSize(1, 1, 1))
        module.fit_range(cells)
        exact = cells.values[:n_donors]
        cells = cells._replace(values=cells.values.float())
        self.module_ = module
        self.n_components_ = module.latent.n_components
        donors = cells.take(slice(n_donors))
        held = self._held_out(donors)
        shown = _hide(cells, held)
        module.fit_gaussian(shown)
        rows = TrainingData(shown.take(_repeated_places(n_rows, _FULL_BATCHES * self._batch_size)))
        with_held_out = torch.nonzero(held.any(1))[:, 0]
        valid = (
            TrainingData(shown.take(with_held_out), donors.take(with_held_out))
            if len(with_held_out)
            else None
        )
        run_loop(self, rows, valid, self._options(rows.n_rows, seed), _MASKING)
        n_trees = self._count_trees()
        n_drawn = max(_NODES // (2 * layout.n_columns * n_trees), _MIN_TREE_ROWS)
        units = units_of(cast(TablePreprocessor, self.preprocessor_))
        module.fit_trees(donors, exact, held, units, n_trees, min(n_drawn, _MAX_TREE_ROWS), seed)
        module.refit_gaussian(cells)

    def _held_out(self, cells: Cells) -> Tensor:
        """Return a mask of the cells to hold out, (n_rows, n_columns)."""
        shape = len(cells.values), self.preprocessor_.layout.n_columns
        share = self.validation_fraction if len(cells.values) >= _MIN_ROWS_TO_HOLD else 0.0
        held = torch.rand(shape) < share
        return held if cells.observed is None else held & cells.observed

    @property
    def _batch_size(self) -> int:
        return _BATCH if self.batch_size == "auto" else int(self.batch_size)

    def _count_trees(self) -> int:
        n_columns = self.preprocessor_.layout.n_columns
        wanted = int(self.n_trees) if self.n_trees != "auto" else _automatic_trees(n_columns)
        if self.n_trees == "auto":
            wanted = scaled(wanted, self.effort)
        # There are two kinds of trees, and each half of them predicts held-out cells of the other.
        return max(wanted, 4) // 4 * 4

    def _options(self, n_rows: int, seed: int) -> TrainingOptions:
        per_epoch = math.ceil(n_rows / self._batch_size)
        if self.max_epochs == "auto":
            n_steps = scaled(min(max(2 * per_epoch, _MIN_STEPS), _MAX_STEPS), self.effort)
        else:
            n_steps = int(self.max_epochs) * per_epoch
        return TrainingOptions(
            n_steps=n_steps,
            batch_size=self._batch_size,
            learning_rate=self.learning_rate,
            weight_decay=self.weight_decay,
            seed=seed,
            steps_per_evaluation=math.ceil(n_steps / _N_EVALUATIONS),
            deadline=deadline(self),
            gradient_clip=self.gradient_clip,
            # Weights selected by held-out cells would make their errors too small afterwards.
            keep_best=False,
        )

    def _module(
        self, center: Tensor, forest_size: ForestSize, relations_size: RelationsSize | None = None
    ) -> MaskedModule:
        layout = self.preprocessor_.layout
        sizes = int(self.n_networks), int(self.hidden_size)
        return MaskedModule(layout, center, *sizes, forest_size, relations_size)

    def _empty_module(self, shapes: dict[str, tuple[int, ...]]) -> MaskedModule:
        size = ForestSize(
            shapes["stored"][0], shapes["forest.feature"][0], shapes["forest.roots"][1]
        )
        relations = RelationsSize.of_shapes(shapes) if "relations.kind" in shapes else None
        return self._module(torch.zeros(self.preprocessor_.layout.width), size, relations)

    def __latently_fitted__(self) -> Fitted[Self]:
        return _FittedMasked(self)

    def __sklearn_tags__(self) -> AutoencoderTags:
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = False
        tags.predicts_cells = True
        return tags

    def summary(self) -> str:
        """Describe the fitted model in a few lines.

        Returns
        -------
        str
            Sizes, training, and the mean error on held-out cells.
        """
        module = cast(MaskedModule, self.module_)
        error = module.error.nanmean()
        held = "no cell was held out" if math.isnan(error) else f"mean error {float(error):.3f}"
        return f"{super().summary()}\ncells held out, in standard deviations or shares: {held}"


class _FittedMasked(Fitted[ModelT]):
    """Inner protocol of a masked autoencoder, which measures its predictions."""

    def fill_quality(self) -> FillQuality:
        module = cast(MaskedModule, self.model.module_)
        return FillQuality(module.error, module.reliance, module.relations)

    def least_probability(self, coverage: float) -> np.ndarray | None:
        module = cast(MaskedModule, self.model.module_)
        if module.relations is None:
            return None
        least: np.ndarray = 1 - module.predictive.reach(coverage).double().cpu().numpy()
        return least


def _automatic_trees(n_columns: int) -> int:
    return min(max(_ALL_TREES // n_columns, _MIN_TREES), _MAX_TREES)


def _check_table(data: Input) -> Input:
    if is_image_stack(data):
        raise DataError(
            f"ImputationAutoencoder takes tables, got an array of shape {np.shape(data)}. Use "
            "DenoisingAutoencoder for images, or flatten windows: X.reshape(len(X), -1)."
        )
    return data


def _means(cells: Cells, preprocessor: Any) -> Tensor:
    """Return the mean of each encoded element over its observed rows, or zero without any."""
    if cells.observed is None:
        return cells.values.mean(0).float()
    widths = torch.tensor([b.width for b in preprocessor.layout.blocks for _ in range(b.n_columns)])
    count = cells.observed.sum(0).clamp(min=1).repeat_interleave(widths)
    means = cells.values.sum(0) / count  # a missing cell is encoded as zeros
    return means.float()


def _hide(cells: Cells, held: Tensor) -> Cells:
    """Return the rows with the held-out cells of the first ``len(held)`` of them hidden."""
    if not held.any():
        return cells
    shape = len(cells.values), held.shape[1]
    observed = torch.ones(shape, dtype=torch.bool) if cells.observed is None else cells.observed
    return Cells(cells.values, torch.cat([observed[: len(held)] & ~held, observed[len(held) :]]))


def _repeated_places(n_rows: int, n_wanted: int) -> Tensor:
    """Return the indices of all rows, repeated until there are at least ``n_wanted``."""
    return torch.arange(n_rows).repeat(math.ceil(n_wanted / n_rows))
