"""Several autoencoders of one kind and of many seeds, whose answers are averaged."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from numbers import Integral
from typing import Any, ClassVar, Self

import numpy as np
import torch
from numpy.typing import ArrayLike
from sklearn.base import clone

from latently._notices import each_once
from latently._sklearn import HasMethods, Interval
from latently._validation import KIND_CONSTRAINT, ArrayKind, check_fitted, read_seed
from latently.estimators._answers import Answers
from latently.estimators._effort import EFFORT_CONSTRAINT, Effort
from latently.estimators._fitting import prior_rows
from latently.estimators._inference import deviations_of, row_deviations_of
from latently.estimators._together import fit_together
from latently.estimators._trained import TrainedAutoencoder
from latently.estimators._variants import Autoencoder
from latently.nn import Cells, EnsembleModule
from latently.training import ENGINE_METHODS, Engine, History

#: Fitted attributes that the members share.
_SHARED = ("n_features_in_", "feature_names_in_", "preprocessor_", "n_active_", "n_trained_")
#: More members than this are a mistake, or somebody's attempt to stop the program.
_MOST = 1_000


@dataclass(eq=False, repr=False)
class EnsembleAutoencoder(Answers):
    """Autoencoders of one kind from several seeds; the answer is the mean of theirs [1]_.

    What each has learnt by chance averages out: new rows are rebuilt with about a quarter less
    squared error than by one of them, as by one of eight times the weights. Where they disagree,
    none of them knows. Small models are trained at once, in the time of a few (``fit_seeds``); all
    learn from the same rows and are judged by the same others.

    Parameters
    ----------
    autoencoder : autoencoder or None, default=None
        Any that is trained from a seed; copies of it are fitted. None takes ``Autoencoder()``.
    n_estimators : int, default=8
        Members, 1,000 at most. More rebuild better, ever less so, and take time in proportion.
    kind : {"auto", "images"}, default="auto"
        "images" takes every array of three or four axes for images; "auto" leaves the members
        their own.
    effort : {"fast", "balanced", "thorough"} or None, default=None
        Of the members; None leaves their own.
    engine : str or Engine, default="auto"
        Where to train and to answer: "auto", "cpu", "cuda" or an ``Engine``; "auto" leaves the
        members their own to train on.
    random_state : int, RandomState or None, default=None
        Seed that those of the members are drawn from.
    verbose : bool, default=False
        Show progress.

    Attributes
    ----------
    estimators_ : list of autoencoder
        The members; of a loaded ensemble without their histories.
    n_components_ : int
        Size of the code: those of the members side by side.
    module_ : EnsembleModule
        The torch modules of all.
    preprocessor_ : Preprocessor
        Scaling and encoding of the columns.
    history_ : History
        Of the member that was trained longest.
    baselines_ : Baselines
        Squared error of the ensemble, of a PCA of a member's size and of the column means, on rows
        that no member has learnt from; on training rows where members have ``refit=True``.
    interrupted_ : bool
        True if Ctrl-C ended the training of a member.
    n_features_in_ : int
        Columns, or pixels times channels, seen in ``fit``.
    feature_names_in_ : ndarray of str
        Names of the columns, where the input had them.

    References
    ----------
    .. [1] Lakshminarayanan, Pritzel and Blundell (2017), Simple and Scalable Predictive Uncertainty
       Estimation using Deep Ensembles.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from latently import Autoencoder, EnsembleAutoencoder
    >>> X = load_iris().data
    >>> member = Autoencoder(1, max_epochs=100)
    >>> ensemble = EnsembleAutoencoder(member, n_estimators=4, random_state=0).fit(X)
    >>> ensemble.score(X) > max(one.score(X) for one in ensemble.estimators_) - 0.02
    True
    >>> bool(ensemble.disagreement([[9.0, 1.0, 0.0, 3.0]]) > ensemble.disagreement(X).max())
    True
    """

    autoencoder: TrainedAutoencoder | None = None
    _: KW_ONLY
    n_estimators: int = 8
    kind: ArrayKind = "auto"
    effort: Effort | None = None  # type: ignore[assignment]  # members have their own
    engine: str | Engine = "auto"
    random_state: int | np.random.RandomState | None = None
    verbose: bool = False

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "autoencoder": [TrainedAutoencoder, None],
        "n_estimators": [Interval(Integral, 1, _MOST, closed="both")],
        "kind": KIND_CONSTRAINT,
        "effort": [*EFFORT_CONSTRAINT, None],
        "engine": [str, HasMethods(ENGINE_METHODS)],
        "random_state": ["random_state"],
        "verbose": ["boolean"],
    }

    @each_once()
    def fit(
        self,
        X: Any,
        y: Any = None,
        sample_weight: ArrayLike | None = None,
        *,
        groups: ArrayLike | None = None,
    ) -> Self:
        """Fit the members.

        Parameters
        ----------
        X : array-like, DataFrame, Table or image stack
            Rows; cells may be missing.
        y : None
            Ignored.
        sample_weight : array-like of shape (n_samples,) or None, default=None
            Weight of each row, at least zero; None weighs all the same.
        groups : array-like of shape (n_samples,) or None, default=None
            Group of each row; a group is held out whole or not at all.

        Returns
        -------
        self
            The fitted ensemble.

        Raises
        ------
        ParameterError
            If a parameter has a wrong value.
        DataError
            If the rows cannot be used.
        ResourceError
            If the members together need more memory than is free, or than their ``max_memory``
            allows.
        """
        self._check_parameters()
        seed = self._draw_seed()
        members = self._fresh(seed)
        group = fit_together(members, X, groups, sample_weight, split_seed=seed)
        train_rows, valid_rows = group.sides(0)
        self._assemble(members, train_rows.inputs)
        # Members that were trained again on all rows have learnt from those held out, too.
        self._judge(train_rows, None if members[0].refit else valid_rows, group.spectra[0])
        return self

    @each_once()
    def partial_fit(self, X: Any, y: Any = None, sample_weight: ArrayLike | None = None) -> Self:
        """Let each member pass once over a chunk of rows, at a constant learning rate.

        Parameters
        ----------
        X : array-like, DataFrame, Table or image stack
            The next rows; the first call sets columns, categories and scaling for good.
        y : None
            Ignored.
        sample_weight : array-like of shape (n_samples,) or None, default=None
            Weight of each row.

        Returns
        -------
        self
            The ensemble, a little further.

        Raises
        ------
        DataError
            If the rows cannot be used.
        """
        self._check_parameters()
        members = getattr(self, "estimators_", None) or self._fresh(self._draw_seed())
        for place, member in enumerate(members):
            member.partial_fit(X, sample_weight=sample_weight)
            if not place:
                member._check_copies_fit(len(members))
        self._assemble(members, members[0]._read(X, fitting=True))
        return self

    def disagreement(self, X: Any, *, per_feature: bool = False) -> np.ndarray:
        """Return how far the members' reconstructions lie apart: where they do, none knows.

        Parameters
        ----------
        X : array-like, DataFrame, Table or image stack
            Rows with the columns of ``fit``.
        per_feature : bool, default=False
            True returns it for each cell.

        Returns
        -------
        ndarray of shape (n_samples,) or (n_samples, n_features) or of the images' shape
            Standard deviation over the members, in standard deviations of the column; the root of
            the mean square over the columns of a row, or per cell, in the order of the columns.

        Raises
        ------
        DataError
            If the rows cannot be used.
        """
        check_fitted(self)
        if per_feature:
            return self.preprocessor_.in_order(self._infer(X, deviations_of))
        return self._infer(X, row_deviations_of)

    def summary(self) -> str:
        """Describe the fitted ensemble in a few lines.

        Returns
        -------
        str
            Sizes, training, and how it compares with the column means and PCA.
        """
        kind = type(self._given()).__name__
        return f"{super().summary()}\n{len(self.estimators_)} members, each of them {kind}"

    @property
    def is_denoiser(self) -> bool:
        """True if the members are."""
        return self._given().is_denoiser

    @property
    def has_narrow_code(self) -> bool:
        """True: the members have."""
        return True

    # ------------------------------------------------------------------ inside
    @property
    def _own_effort(self) -> Effort:
        return self.effort or self._given().effort

    def _given(self) -> TrainedAutoencoder:
        return Autoencoder() if self.autoencoder is None else self.autoencoder

    def _fresh(self, seed: int) -> list[TrainedAutoencoder]:
        """Return unfitted members."""
        told = {
            "kind": self.kind,
            "effort": self.effort,
            "engine": self.engine,
            "verbose": self.verbose,
        }
        own = {name: value for name, value in told.items() if value not in (None, "auto", False)}
        return [
            clone(self._given()).set_params(random_state=(seed + place) % 2**31, **own)
            for place in range(int(self.n_estimators))
        ]

    def _assemble(self, members: list[TrainedAutoencoder], cells: Cells) -> None:
        """Make one model of fitted members; the prior of its code is fitted to some rows."""
        first, longest = members[0], max(members, key=lambda member: member.history_.last_step)
        self.__dict__.update({n: v for n, v in vars(first).items() if n in _SHARED})
        self.estimators_ = members
        self.n_components_ = sum(member.n_components_ for member in members)
        self.history_ = longest.history_
        self.interrupted_ = any(member.interrupted_ for member in members)
        self.module_ = EnsembleModule([member.module_ for member in members]).eval()
        first_rows = prior_rows(cells)
        with torch.no_grad():
            singles = first_rows._replace(values=first_rows.values.to(self.module_.center))
            self.module_.latent.fit_prior(self.module_.hidden(singles))

    def _empty_module(self, shapes: dict[str, tuple[int, ...]]) -> EnsembleModule:
        modules = []
        for place, member in enumerate(self._untrained()):
            start = f"members.{place}."
            own = {n.removeprefix(start): s for n, s in shapes.items() if n.startswith(start)}
            modules.append(member._empty_module(own))
        return EnsembleModule(modules)

    def _untrained(self) -> list[TrainedAutoencoder]:
        """Return members that know the columns and the size of their code."""
        members = self._fresh(read_seed(self.random_state))
        for member in members:
            member.__dict__.update({n: v for n, v in vars(self).items() if n in _SHARED})
            member.n_components_ = self.n_components_ // int(self.n_estimators)
        return members

    def _restore(self, state: dict[str, Any]) -> None:
        super()._restore(state)
        self.estimators_ = self._untrained()
        for place, member in enumerate(self.estimators_):
            member.module_ = self.module_.members[place]  # type: ignore[assignment, index]
            member.history_, member.interrupted_ = History(stopped=self.history_.stopped), False
            member._next_seed = self._next_seed + place

    @property
    def _learns_scale(self) -> bool:
        return self._given()._learns_scale

    @property
    def _has_own_network(self) -> bool:
        return self._untrained()[0]._has_own_network
