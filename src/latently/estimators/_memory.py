"""The autoencoder that needs no training: rows are rebuilt from the rows that it keeps."""

from __future__ import annotations

import copy
from dataclasses import KW_ONLY, dataclass
from numbers import Integral
from typing import Any, ClassVar, Literal, Self, cast

import numpy as np
import torch
from torch import Tensor

from latently._sklearn import HasMethods, Interval, StrOptions
from latently._validation import (
    KIND_CONSTRAINT,
    MIN_ROWS,
    ArrayKind,
    check_fitted,
    read_input,
)
from latently.estimators._base import BaseAutoencoder
from latently.estimators._common_docs import document
from latently.estimators._effort import EFFORT_CONSTRAINT, Effort, scaled
from latently.estimators._fitting import (
    MAX_CATEGORIES_CONSTRAINT,
    check_rows_fit,
    encode,
    extended,
    in_canonical_order,
    make_preprocessor,
)
from latently.estimators._inference import cell_surprise_of, surprise_of
from latently.nn import Cells, CrowdModule, MemoryModule, SingleColumnModule, StoredRows
from latently.nn._crowd import GROUP, tail_rows
from latently.preprocessing import MAX_CATEGORIES, LikelihoodChoice
from latently.training import ENGINE_METHODS, Engine, History

#: Rows kept by default: more find anomalies hardly better and cost time in proportion.
_AUTO_ROWS = 2_000
#: Bytes of an encoded element that is read, and of one that is kept for all views.
_BYTES_READ, _BYTES_KEPT = 16, 80
#: Small memories of a robust one.
_MEMORIES = 64
#: Share of the memory that one call of ``partial_fit`` replaces at most.
_RENEWED = 0.1


@document
@dataclass(eq=False, repr=False)
class MemoryAutoencoder(BaseAutoencoder):
    r"""The semi-parametric denoising autoencoder: a row is rebuilt from the stored rows like it.

    The code of a row says how much of each stored row it is made of,
    :math:`w_i \propto \exp(-\|x - m_i\|^2 / 2h)`, and the row is rebuilt as
    :math:`\sum_i w_i m_i`. For rows drawn from the stored ones with normal noise of variance
    :math:`h` no autoencoder of any size denoises better in squared error [1]_. Nothing is trained
    by gradient; time is linear in the rows. A row that equals a stored one is compared with the
    other stored rows only, so that training rows score as new rows do.

    Parameters
    ----------
    n_components : int or "auto", default="auto"
        Rows to keep. "auto" keeps all, or 2,000 drawn at random where there are more. More follow
        finer structure, and cost time in proportion.
    robust : bool, default=False
        True for rows of which many are anomalies: not one memory but 64 of eight rows each, of
        which most hold none of them; ``n_components`` then counts the rows of all.
    effort : {"fast", "balanced", "thorough"}, default="balanced"
        How many rows "auto" keeps at most: 500, 2,000 or 8,000; of a robust memory, and where there
        are fewer, it changes nothing.
    likelihood : {"auto", "gaussian", "bernoulli"}, default="auto"
        Of numbers and pixels; "bernoulli" keeps them within [0, 1].
    {kind}
    {categories}
    engine : str or Engine, default="auto"
        Where to compute: "auto", "cpu", "cuda" or an ``Engine``.
    random_state : int, RandomState or None, default=None
        Seed of the draw; the same seed keeps the same rows.

    Attributes
    ----------
    n_components_ : int
        Rows kept.
    module_ : MemoryModule
        The torch module that holds them.
    preprocessor_ : Preprocessor
        Scaling and encoding of the columns.
    history_ : History
        Empty: nothing is trained.
    interrupted_ : bool
        False: there is no training to cut short.
    n_features_in_ : int
        Columns, or pixels times channels, seen in ``fit``.
    feature_names_in_ : ndarray of str
        Names of the columns, where the input had them.

    References
    ----------
    .. [1] Alain and Bengio (2014), What Regularized Auto-Encoders Learn from the Data-Generating
       Distribution.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> X = load_iris().data
    >>> model = MemoryAutoencoder().fit(X)
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
    judges_own_rows: ClassVar[bool] = True

    @property
    def is_denoiser(self) -> bool:
        """True of one memory of all rows, whose reconstruction is the least-squares denoiser."""
        return not self.robust

    def fit(self, X: Any, y: Any = None) -> Self:
        """Keep rows to rebuild others from.

        Parameters
        ----------
        X : array-like, DataFrame, Table or image stack
            Rows; cells may be missing.
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
            If more memory is needed than there is.
        """
        self._check_parameters()
        data = read_input(self, X, reset=True, min_rows=MIN_ROWS)
        seed = self._draw_seed()
        data = in_canonical_order(data, None, None).data
        # Images are compared, not rebuilt: one that is brighter than all others stays far off.
        self.preprocessor_ = make_preprocessor(
            data, self.likelihood, self.max_categories, narrow=False
        )
        chosen = self._chosen(len(data), seed)
        self._check_fits(len(data), len(chosen))
        cells = encode(self.preprocessor_, data, fitting=True)
        self._keep(cells.take(chosen), cells, seed)
        self.history_ = History(stopped="finished")
        self.interrupted_ = False
        self._next_seed = seed + 1
        return self

    def partial_fit(self, X: Any, y: Any = None) -> Self:
        """Let new rows take the place of stored ones, so that the memory follows a slow drift.

        Rows drawn at random from ``X``, at most a tenth of the memory a call, replace stored rows
        drawn at random. The first call is ``fit``: columns, categories, scaling and the unit of
        scores stay as it set them.

        Parameters
        ----------
        X : array-like, DataFrame, Table or image stack
            The next rows.
        y : None
            Ignored.

        Returns
        -------
        self
            The estimator, a little newer.

        Raises
        ------
        DataError
            If the rows cannot be used.
        """
        if not hasattr(self, "module_"):
            return self.fit(X)
        data = read_input(self, X, reset=False, fitted_on=self._fitted_on)
        data = in_canonical_order(data, None, None).data
        cells = encode(self.preprocessor_, data)
        self.preprocessor_ = extended(self.preprocessor_, cells)
        n_stored, seed, before = self.n_components_, self._next_seed, cast(StoredRows, self.module_)
        n_new = min(len(cells.values), max(1, round(_RENEWED * n_stored)))
        stored = before.stored.take(_drawn(n_stored, n_stored - n_new, seed))
        new = cells.take(_drawn(len(cells.values), n_new, seed))
        joined = _joined(stored, new)
        self._keep(joined, joined, seed)
        cast(StoredRows, self.module_).take_scales(before)
        self._next_seed = seed + 1
        return self

    def _check_fits(self, n_rows: int, n_kept: int) -> None:
        """Raise ResourceError if the rows, and those kept, need more memory than is free."""
        check_rows_fit(
            n_rows + _BYTES_KEPT // _BYTES_READ * n_kept, self.preprocessor_.layout.width,
            f"A memory of {n_kept:,} rows of {self.preprocessor_.layout.width:,} encoded elements",
            "Give n_components a smaller number, or fewer columns", _BYTES_READ,
        )  # fmt: skip

    def _chosen(self, n_rows: int, seed: int) -> Tensor:
        """Return the places of the rows to keep."""
        if self.robust:
            n_memories = _MEMORIES if self.n_components == "auto" else self.n_components // GROUP
            return _dealt(n_rows, max(1, n_memories), seed)
        n_kept = self.n_components
        if n_kept == "auto":
            n_kept = scaled(_AUTO_ROWS, self.effort)
        return _drawn(n_rows, min(n_rows, n_kept), seed)

    def _keep(self, cells: Cells, others: Cells, seed: int) -> None:
        """Build the module around some rows."""
        self.n_components_ = len(cells.values)
        n_judged = tail_rows(len(others.values), self.preprocessor_.layout.width)
        module = self._module(self.n_components_, cells.observed is not None, n_judged)
        with torch.no_grad():
            module.store(cells, others, torch.Generator().manual_seed(seed))
        self.module_ = module.eval()

    def _module(self, n_rows: int, gaps: bool, n_judged: int) -> StoredRows:
        layout = self.preprocessor_.layout
        if self.robust:
            return CrowdModule(layout, n_rows, gaps, n_judged)
        if layout.shape == (1,) and layout.blocks[0].likelihood == "gaussian":
            return SingleColumnModule(layout, n_rows, gaps)
        return MemoryModule(layout, n_rows, gaps)

    def _empty_module(self, shapes: dict[str, tuple[int, ...]]) -> StoredRows:
        n_judged = shapes["tails.ladder"][1] if self.robust else 0
        return self._module(shapes["fingerprints"][0], "observed" in shapes, n_judged)

    def score_samples(self, X: Any) -> np.ndarray:
        """Return how normal each row is: minus its surprise.

        Rows are looked at in three ways: as they are, with bent tails (arcsinh), by the ranks of
        their values. In each, how rare a row is and what cannot be rebuilt of it are held against
        the same of stored rows, each of them left out in turn: how many standard deviations do
        they lie above the median? A view counts by how well it tells stored rows from such as
        have columns exchanged; the one that is surprised most decides. A single column of numbers
        has a kernel density instead, whose tails never become more normal outwards. A robust
        model takes the median over its small memories, and adds the tails of single columns.

        Parameters
        ----------
        X : array-like, DataFrame, Table or image stack
            Rows with the columns of ``fit``.

        Returns
        -------
        ndarray of shape (n_samples,)
            In standard deviations; about zero for usual rows, higher is more normal.

        Raises
        ------
        DataError
            If the rows cannot be used.
        """
        check_fitted(self)
        return -self._infer(X, surprise_of)

    def cell_surprise(self, X: Any) -> np.ndarray:
        """Return the squared residual of each cell in the view that the row surprises most.

        Parameters
        ----------
        X : array-like, DataFrame, Table or image stack
            Rows with the columns of ``fit``.

        Returns
        -------
        ndarray of shape (n_samples, n_features) or of the images' shape
            One is usual; in the order of the columns, zero where a cell is missing.

        Raises
        ------
        DataError
            If the rows cannot be used.
        """
        check_fitted(self)
        return self.preprocessor_.in_order(self._infer(X, cell_surprise_of))

    def _leaving_out(self, n_copies: int) -> Self:
        other = copy.copy(self)
        other.module_ = cast(StoredRows, self.module_).leaving_out(n_copies)
        return other

    def summary(self) -> str:
        """Describe the fitted model in a line.

        Returns
        -------
        str
            How many columns and stored rows it has.
        """
        check_fitted(self)
        n_columns = self.preprocessor_.layout.n_columns
        return (
            f"{type(self).__name__}: {n_columns:,} columns, {self.n_components_:,} stored rows; "
            f"effort: {self.effort}"
        )


def _drawn(n_rows: int, n_wanted: int, seed: int) -> Tensor:
    """Return the places of some rows drawn without replacement, in ascending order."""
    chosen = np.random.default_rng(seed).permutation(n_rows)[:n_wanted]
    return torch.from_numpy(np.sort(chosen))


def _dealt(n_rows: int, n_memories: int, seed: int) -> Tensor:
    """Return the places of the rows of each memory, drawn for each without replacement."""
    rng = np.random.default_rng(seed)
    size = min(GROUP, n_rows)
    places = [rng.choice(n_rows, size, replace=False) for _ in range(n_memories)]
    return torch.from_numpy(np.concatenate(places))


def _joined(first: Cells, second: Cells) -> Cells:
    observed = None
    if first.observed is not None or second.observed is not None:
        observed = torch.cat([_seen(first, second), _seen(second, first)])
    values = torch.cat([first.values.double(), second.values.flatten(1).double()])
    return Cells(values, observed)


def _seen(cells: Cells, other: Cells) -> Tensor:
    if cells.observed is not None:
        return cells.observed
    assert other.observed is not None
    return torch.ones(len(cells.values), other.observed.shape[1], dtype=torch.bool)
