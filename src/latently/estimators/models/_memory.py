"""``NeighborAutoencoder``, which reconstructs rows as weighted means of stored rows."""

from __future__ import annotations

import copy
from dataclasses import KW_ONLY, dataclass
from numbers import Integral
from typing import Any, ClassVar, Literal, Self, cast

import numpy as np
import torch
from torch import Tensor

from latently._layout import Layout
from latently._sklearn import HasMethods, Interval, StrOptions
from latently._validation import (
    KIND_CONSTRAINT,
    MIN_ROWS,
    ArrayKind,
    check_fitted,
    read_input,
)
from latently.estimators._base import BaseAutoencoder
from latently.estimators._inference import cell_surprise_of, surprise_by_view_of, surprise_of
from latently.estimators._protocol import AutoencoderTags, Fitted, ModelT, fitted_of
from latently.estimators.fit._effort import EFFORT_CONSTRAINT, Effort, scaled
from latently.estimators.fit._prepare import (
    MAX_CATEGORIES_CONSTRAINT,
    check_answer_memory,
    encode,
    extended_preprocessor,
    in_canonical_order,
    make_preprocessor,
)
from latently.estimators.models._common_docs import document
from latently.nn import Cells, MemoryEnsembleModule, MemoryModule, SingleColumnModule, StoredRows
from latently.nn.memory import GROUP, OneRowMemory, tail_rows
from latently.nn.memory.robust import STORED_ROWS, RobustMemoryModule, n_bins_for
from latently.preprocessing import MAX_CATEGORIES, LikelihoodChoice
from latently.training import ENGINE_METHODS, Engine, History

#: Rows stored by default. More hardly improve anomaly detection and cost time in proportion.
_AUTO_ROWS = 2_000
#: Bytes of an encoded element that is read, and of one that is stored for all views.
_BYTES_READ, _BYTES_KEPT = 16, 80
#: Number of sub-sampled memories of a robust model.
_N_GROUPS = 64
#: Maximum fraction of the memory that one call of ``partial_fit`` replaces.
_MAX_RENEWED = 0.1


@document
@dataclass(eq=False, repr=False)
class NeighborAutoencoder(BaseAutoencoder):
    r"""Nearest-neighbour autoencoder, which reconstructs a row as a mean of stored rows.

    The code of a row is its weight on each stored row,
    :math:`w_i \propto \exp(-\|x - m_i\|^2 / 2h)`, and its reconstruction is
    :math:`\sum_i w_i m_i`. For rows drawn from the stored ones with normal noise of variance
    :math:`h` this is the denoiser of least squared error [1]_. Nothing is trained by gradient
    descent, and the time is linear in the number of rows. A row that equals a stored one is
    compared with the other stored rows only, so that training rows score like unseen rows.

    Parameters
    ----------
    n_components : int or "auto", default="auto"
        Number of rows to store. "auto" stores all rows, or 2,000 drawn at random if there are
        more. A larger number follows finer structure, at a time proportional to it.
    robust : bool, default=False
        If True, the score is for training rows that contain many anomalies. In a table it is the
        sum of five statistics that anomalies hardly change, see ``score_samples``. "auto" then
        stores 1,250 rows. For images, 64 memories of eight rows each are used, most of which
        contain no anomaly, and ``n_components`` counts the rows of all memories.
    effort : {"fast", "balanced", "thorough"}, default="balanced"
        Maximum number of rows that "auto" stores: 500, 2,000 or 8,000. It has no effect if
        ``robust`` is True or if there are fewer rows.
    likelihood : {"auto", "gaussian", "bernoulli"}, default="auto"
        Likelihood of numbers and pixels. "bernoulli" keeps reconstructions within [0, 1].
    {kind}
    {categories}
    engine : str or Engine, default="auto"
        Where to compute: "auto", "cpu", "cuda" or an ``Engine``.
    random_state : int, RandomState or None, default=None
        Random state of the draw. The same seed stores the same rows.

    Attributes
    ----------
    n_components_ : int
        Number of stored rows.
    module_ : MemoryModule
        The torch module that contains the stored rows.
    preprocessor_ : Preprocessor
        Scaling and encoding of the columns.
    history_ : History
        Empty, because nothing is trained.
    interrupted_ : bool
        False, because there is no training to interrupt.
    n_features_in_ : int
        Number of columns, or of pixels times channels, seen in ``fit``.
    feature_names_in_ : ndarray of str
        Names of the columns. Present if the input had names.

    References
    ----------
    .. [1] Alain and Bengio (2014), What Regularized Auto-Encoders Learn from the Data-Generating
       Distribution.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> X = load_iris().data
    >>> model = NeighborAutoencoder().fit(X)
    >>> model.transform(X[:5]).shape
    (5, 150)
    >>> bool(model.score_samples([[9.0, 9.0, 9.0, 9.0]])[0] < model.score_samples(X).min())
    True
    """

    n_components: int | Literal["auto"] = "auto"
    _: KW_ONLY
    robust: bool = False
    effort: Effort = "balanced"
    likelihood: LikelihoodChoice = "auto"
    kind: ArrayKind = "auto"
    max_categories: int = MAX_CATEGORIES
    engine: str | Engine = "auto"
    random_state: int | np.random.RandomState | None = None

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "n_components": [Interval(Integral, 1, None, closed="left"), StrOptions({"auto"})],
        "robust": ["boolean"],
        "effort": EFFORT_CONSTRAINT,
        "likelihood": [StrOptions({"auto", "gaussian", "bernoulli"})],
        "kind": KIND_CONSTRAINT,
        "max_categories": MAX_CATEGORIES_CONSTRAINT,
        "engine": [str, HasMethods(ENGINE_METHODS)],
        "random_state": ["random_state"],
    }
    _searched: ClassVar[dict[str, Any]] = {
        "n_components": (250, 8_000, "log"),
        "robust": [False, True],
    }

    def fit(self, X: Any, y: Any = None) -> Self:
        """Store rows that reconstruct others.

        Parameters
        ----------
        X : array-like, DataFrame, Table or image stack
            Training rows. Cells may be missing.
        y : None
            Ignored.

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
        ResourceError
            If the stored rows need more memory than is free.
        """
        self._check_parameters()
        data = read_input(self, X, reset=True, min_rows=MIN_ROWS)
        seed = self._draw_seed()
        data = in_canonical_order(data, None, None).data
        # The full range of images is kept, so that a brighter image stays far from all others.
        self.preprocessor_ = make_preprocessor(
            data, self.likelihood, self.max_categories, narrow=False
        )
        chosen = self._choose_rows(len(data), seed)
        self._check_memory(len(data), len(chosen))
        cells = encode(self.preprocessor_, data, fitting=True)
        self._store_rows(cells.take(chosen), cells, seed)
        self.history_ = History(stopped="finished")
        self.interrupted_ = False
        self._next_seed = seed + 1
        return self

    def partial_fit(self, X: Any, y: Any = None) -> Self:
        """Replace a part of the stored rows by new ones, to follow a slow drift.

        Rows drawn at random from ``X`` replace stored rows drawn at random, at most a tenth of the
        memory per call. The first call is ``fit``, which fixes columns, categories, scaling and the
        unit of scores.

        Parameters
        ----------
        X : array-like, DataFrame, Table or image stack
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
        data = fitted_of(self).validate(X)
        data = in_canonical_order(data, None, None).data
        cells = encode(self.preprocessor_, data)
        self.preprocessor_ = extended_preprocessor(self.preprocessor_, cells)
        n_stored, seed, before = self.n_components_, self._next_seed, cast(StoredRows, self.module_)
        n_new = min(len(cells.values), max(1, round(_MAX_RENEWED * n_stored)))
        stored = before.stored.take(_draw_places(n_stored, n_stored - n_new, seed))
        new = cells.take(_draw_places(len(cells.values), n_new, seed))
        joined = _concatenated(stored, new)
        self._store_rows(joined, joined, seed)
        cast(StoredRows, self.module_).take_scales(before)
        self._next_seed = seed + 1
        return self

    def _check_memory(self, n_rows: int, n_kept: int) -> None:
        """Raise ResourceError if the rows and the stored ones need more memory than is free."""
        check_answer_memory(
            n_rows + _BYTES_KEPT // _BYTES_READ * n_kept, self.preprocessor_.layout.width,
            f"A memory of {n_kept:,} rows of {self.preprocessor_.layout.width:,} encoded elements",
            "Give n_components a smaller number, or fewer columns", _BYTES_READ,
        )  # fmt: skip

    def _choose_rows(self, n_rows: int, seed: int) -> Tensor:
        """Return the indices of the rows to store."""
        n_kept = self.n_components
        if self.robust and len(self.preprocessor_.layout.shape) > 1:
            n_memories = _N_GROUPS if n_kept == "auto" else n_kept // GROUP
            return _draw_groups(n_rows, max(1, n_memories), seed)
        if n_kept == "auto":
            n_kept = STORED_ROWS if self.robust else scaled(_AUTO_ROWS, self.effort)
        return _draw_places(n_rows, min(n_rows, n_kept), seed)

    def _store_rows(self, cells: Cells, others: Cells, seed: int) -> None:
        """Build the module from some rows, and scale its scores by the others."""
        self.n_components_ = len(cells.values)
        module = self._module(self.n_components_, cells.observed is not None, len(others.values))
        with torch.no_grad():
            module.store(cells, others, torch.Generator().manual_seed(seed))
        self.module_ = module.eval()

    def _module(self, n_rows: int, gaps: bool, n_training: int) -> StoredRows:
        layout = self.preprocessor_.layout
        if self.robust and len(layout.shape) > 1:
            return MemoryEnsembleModule(layout, n_rows, gaps, tail_rows(n_training, layout.width))
        if self.robust:
            return RobustMemoryModule(layout, n_rows, gaps, n_bins_for(n_training), n_training)
        kind = SingleColumnModule if _is_single(layout) else MemoryModule
        return kind(layout, n_rows, gaps)

    def _empty_module(self, shapes: dict[str, tuple[int, ...]]) -> StoredRows:
        n_rows, gaps = shapes["fingerprints"][0], "observed" in shapes
        if not self.robust and "rarity_of_ends" not in shapes:
            # Files of version 0.1.0 hold single columns as any other table.
            return MemoryModule(self.preprocessor_.layout, n_rows, gaps)
        if "tails.ladder" in shapes:  # images, and tables in older files
            n_tail = shapes["tails.ladder"][1]
            return MemoryEnsembleModule(self.preprocessor_.layout, n_rows, gaps, n_tail)
        if "trees.feature" not in shapes:
            return self._module(n_rows, gaps, n_rows)
        n_bins, n_leaves = shapes["histograms.rarity"][1] - 1, shapes["trees.depth"][1]
        return RobustMemoryModule(self.preprocessor_.layout, n_rows, gaps, n_bins, n_leaves)

    def score_samples(self, X: Any) -> np.ndarray:
        """Return the normality score of each row, its negative surprise.

        The surprise of a row is computed as follows:

        1. Three views of the row are compared with the stored rows: the values themselves, their
           arcsinh, which shortens tails, and their ranks.
        2. In each view, the rarity of the row and its residual are standardised by the same
           figures of the stored rows, each left out in turn. The result is the number of standard
           deviations above their median.
        3. Each view is weighted by its power to separate stored rows from stored rows with
           exchanged columns. The largest weighted figure is the surprise.

        With ``robust=True`` the surprise of a row of a table is the sum of five statistics:

        1. The negative log frequencies of its cells in histograms of the columns.
        2. The residuals of a linear prediction of each cell from the others.
        3. The log distance to the tenth nearest stored row.
        4. The mean log distance to the nearest row in 32 memories of 16 rows.
        5. The score of an isolation forest.

        Each is standardised by its median and interquartile range. A missing category is a
        category of its own if the training rows have gaps in this column. For images, the median
        over the sub-sampled memories is used.

        Otherwise, a single column of numbers has a kernel density
        instead, whose tails never become more normal outwards.

        Parameters
        ----------
        X : array-like, DataFrame, Table or image stack
            Rows with the columns of ``fit``.

        Returns
        -------
        ndarray of shape (n_samples,)
            Score in standard deviations, about zero for usual rows. Higher is more normal.

        Raises
        ------
        DataError
            If the rows cannot be used.
        """
        return -fitted_of(self).infer(X, surprise_of)

    def cell_surprise(self, X: Any) -> np.ndarray:
        """Return the squared residual of each cell, in the view of the largest surprise of its row.

        With ``robust=True`` and a table, return what each cell adds to the statistics: its log
        frequency, its linear residual and its share in the distance to the nearest rows.

        Parameters
        ----------
        X : array-like, DataFrame, Table or image stack
            Rows with the columns of ``fit``.

        Returns
        -------
        ndarray of shape (n_samples, n_features) or of the images' shape
            About one for usual cells, zero with ``robust=True``, in the order of the columns. Zero
            where a cell is missing.

        Raises
        ------
        DataError
            If the rows cannot be used.
        """
        return self.preprocessor_.in_order(fitted_of(self).infer(X, cell_surprise_of))

    def surprise_by_view(self, X: Any) -> np.ndarray:
        """Return the surprise of each row, and the statistics that it is made of.

        Parameters
        ----------
        X : array-like, DataFrame, Table or image stack
            Rows with the columns of ``fit``.

        Returns
        -------
        ndarray of shape (n_samples, 1 + n_views)
            Minus ``score_samples``, then each standardised statistic: zero for usual rows, higher
            for unusual ones. A single column, and images with ``robust=True``, have one.

        Raises
        ------
        DataError
            If the rows cannot be used.
        """
        return fitted_of(self).infer(X, surprise_by_view_of)

    def summary(self) -> str:
        """Describe the fitted model in one line.

        Returns
        -------
        str
            Kind of model, number of columns and of stored rows, and effort.
        """
        check_fitted(self)
        n_columns = self.preprocessor_.layout.n_columns
        return (
            f"{type(self).__name__}: {n_columns:,} columns, {self.n_components_:,} stored rows; "
            f"effort: {self.effort}"
        )

    def __latently_fitted__(self) -> Fitted[Self]:
        return _FittedMemory(self)

    def __sklearn_tags__(self) -> AutoencoderTags:
        tags = super().__sklearn_tags__()
        tags.scorings = ("surprise", "energy", "reconstruction")
        tags.judges_own_rows = True
        # A row that is left out still counts in the histograms and trees of a robust model.
        tags.leaves_out_exactly = not self.robust
        tags.is_denoiser = not self.robust  # one memory is the denoiser of least squared error
        return tags


class _FittedMemory(Fitted[ModelT]):
    """Inner protocol of a memory, whose stored rows can be left out."""

    def one_row(self) -> OneRowMemory | None:
        module = self.model.module_
        is_table = len(module.likelihood.layout.shape) == 1
        return OneRowMemory(module) if isinstance(module, MemoryModule) and is_table else None

    def leaving_out(self, n_copies: int) -> ModelT:
        model = copy.copy(self.model)
        model.module_ = cast(StoredRows, self.model.module_).leaving_out(n_copies)
        return model


def _draw_places(n_rows: int, n_wanted: int, seed: int) -> Tensor:
    """Return sorted indices of rows drawn without replacement."""
    chosen = np.random.default_rng(seed).permutation(n_rows)[:n_wanted]
    return torch.from_numpy(np.sort(chosen))


def _draw_groups(n_rows: int, n_memories: int, seed: int) -> Tensor:
    """Return the indices of the rows of each memory, drawn without replacement within each."""
    rng = np.random.default_rng(seed)
    size = min(GROUP, n_rows)
    places = [rng.choice(n_rows, size, replace=False) for _ in range(n_memories)]
    return torch.from_numpy(np.concatenate(places))


def _concatenated(first: Cells, second: Cells) -> Cells:
    observed = None
    if first.observed is not None or second.observed is not None:
        observed = torch.cat([_observed_cells(first, second), _observed_cells(second, first)])
    values = torch.cat([first.values.double(), second.values.flatten(1).double()])
    return Cells(values, observed)


def _observed_cells(cells: Cells, other: Cells) -> Tensor:
    if cells.observed is not None:
        return cells.observed
    assert other.observed is not None
    return torch.ones(len(cells.values), other.observed.shape[1], dtype=torch.bool)


def _is_single(layout: Layout) -> bool:
    """Return True for one column of numbers."""
    return layout.shape == (1,) and layout.blocks[0].likelihood == "gaussian"
