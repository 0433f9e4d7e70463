"""``EnsembleAutoencoder``, the mean of several autoencoders from different seeds."""

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
from latently._validation import KIND_CONSTRAINT, ArrayKind, read_seed
from latently.estimators._generative import GenerativeAutoencoder
from latently.estimators._groups import fit_group
from latently.estimators._inference import deviations_of, row_deviations_of
from latently.estimators._protocol import AutoencoderTags, fitted_of, tags_of
from latently.estimators._trained import TrainedAutoencoder
from latently.estimators.fit._effort import EFFORT_CONSTRAINT, Effort
from latently.estimators.fit._prepare import prior_rows
from latently.estimators.fit._trainer import compare
from latently.estimators.models._variants import Autoencoder
from latently.exceptions import ParameterError
from latently.nn import Cells, EnsembleModule
from latently.training import ENGINE_METHODS, Engine, History

#: Fitted attributes that the members share.
_SHARED_ATTRIBUTES = (
    "n_features_in_",
    "feature_names_in_",
    "preprocessor_",
    "n_active_",
    "n_trained_",
)
#: Maximum number of members, also of one that is read from a model file.
_MAX_MEMBERS = 1_000


@dataclass(eq=False, repr=False)
class EnsembleAutoencoder(GenerativeAutoencoder):
    """Ensemble of autoencoders from several seeds, whose reconstructions are averaged [1]_.

    Averaging removes the part of the error that depends on the random state. The members share
    their training and validation rows. Their disagreement measures the uncertainty of the
    reconstruction. On a CPU, small models are trained at once as one batched computation, as by
    ``fit_seeds``.

    Parameters
    ----------
    autoencoder : autoencoder or None, default=None
        Autoencoder whose clones are fitted. None uses ``Autoencoder()``.
    n_estimators : int, default=8
        Number of members, at most 1,000. More members reconstruct better, with diminishing
        returns, at a time proportional to their number.
    kind : {"auto", "images"}, default="auto"
        "images" takes every array of three or four axes as images. "auto" uses the ``kind`` of
        ``autoencoder``.
    effort : {"fast", "balanced", "thorough"} or None, default=None
        Effort of the members. None uses the one of ``autoencoder``.
    engine : str or Engine, default="auto"
        Where to train and predict: "auto", "cpu", "cuda" or an ``Engine``. With "auto", members
        are trained on the engine of ``autoencoder``.
    random_state : int, RandomState or None, default=None
        Random state from which the seeds of the members are derived.
    verbose : bool, default=False
        If True, show the progress of the training.

    Attributes
    ----------
    estimators_ : list of autoencoder
        The fitted members. Those of a loaded ensemble have empty histories.
    n_components_ : int
        Size of the code, which concatenates the codes of the members.
    module_ : EnsembleModule
        Torch module that contains the modules of all members.
    preprocessor_ : Preprocessor
        Scaling and encoding of the columns.
    history_ : History
        History of the member with the most training steps.
    baselines_ : Baselines
        Squared error of the ensemble, of a PCA of the size of a member and of the column means, on
        the validation rows, or on the training rows if ``autoencoder`` has ``refit=True``.
    interrupted_ : bool
        True if the training of a member was interrupted by Ctrl-C.
    n_features_in_ : int
        Number of columns, or of pixels times channels, seen in ``fit``.
    feature_names_in_ : ndarray of str
        Names of the columns. Present if the input had names.

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
    effort: Effort | None = None  # type: ignore[assignment]  # None uses that of autoencoder
    engine: str | Engine = "auto"
    random_state: int | np.random.RandomState | None = None
    verbose: bool = False

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "autoencoder": [TrainedAutoencoder, None],
        "n_estimators": [Interval(Integral, 1, _MAX_MEMBERS, closed="both")],
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
            Training rows. Cells may be missing.
        y : None
            Ignored.
        sample_weight : array-like of shape (n_samples,) or None, default=None
            Weight of each row, at least zero. None gives all rows the same weight.
        groups : array-like of shape (n_samples,) or None, default=None
            Group of each row. The rows of a group are either all held out or all trained on.

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
        members = self._new_members(seed)
        group = fit_group(members, X, groups, sample_weight, split_seed=seed)
        trainer = group.trainer(0)
        self._assemble(members, trainer.train.sample.inputs)
        # After a refit no row is held out from the members, so training rows are compared.
        held_out = None if members[0].refit else trainer.valid
        compare(self, trainer.train.sample, held_out, trainer.spectrum)
        return self

    @each_once()
    def partial_fit(self, X: Any, y: Any = None, sample_weight: ArrayLike | None = None) -> Self:
        """Train each member for one pass over a chunk of rows, at a constant learning rate.

        Parameters
        ----------
        X : array-like, DataFrame, Table or image stack
            Next rows. The first call fixes columns, categories and scaling.
        y : None
            Ignored.
        sample_weight : array-like of shape (n_samples,) or None, default=None
            Weight of each row. None gives all rows the same weight.

        Returns
        -------
        self
            The updated ensemble.

        Raises
        ------
        DataError
            If the rows cannot be used.
        """
        self._check_parameters()
        members = getattr(self, "estimators_", None) or self._new_members(self._draw_seed())
        for place, member in enumerate(members):
            member.partial_fit(X, sample_weight=sample_weight)
            if not place:
                member._check_copies_fit(len(members))
        self._assemble(members, fitted_of(members[0]).read(X, fitting=True))
        return self

    def disagreement(self, X: Any, *, per_feature: bool = False) -> np.ndarray:
        """Return the standard deviation of the reconstruction over the members.

        Parameters
        ----------
        X : array-like, DataFrame, Table or image stack
            Rows with the columns of ``fit``.
        per_feature : bool, default=False
            If True, return the standard deviation of each cell.

        Returns
        -------
        ndarray of shape (n_samples,) or (n_samples, n_features) or of the images' shape
            Standard deviation over the members, in standard deviations of the column. For a row,
            the root mean square over its columns. For cells, in the order of the columns.

        Raises
        ------
        DataError
            If the rows cannot be used.
        """
        inner = fitted_of(self)
        if per_feature:
            return self.preprocessor_.in_order(inner.infer(X, deviations_of))
        return inner.infer(X, row_deviations_of)

    def summary(self) -> str:
        """Describe the fitted ensemble in a few lines.

        Returns
        -------
        str
            Sizes, training, and the comparison with the column means and PCA.
        """
        kind = type(self._base_estimator()).__name__
        return f"{super().summary()}\n{len(self.estimators_)} members, each of them {kind}"

    def search_space(self) -> dict[str, Any]:
        """Raise ParameterError, because a member is tuned instead.

        Raises
        ------
        ParameterError
            Always.
        """
        raise ParameterError(
            "space must be given for an EnsembleAutoencoder, got None. Tune a member and give it "
            'to EnsembleAutoencoder, or give a space such as {"n_estimators": [4, 8]}.'
        )

    def __sklearn_tags__(self) -> AutoencoderTags:
        tags, member = super().__sklearn_tags__(), tags_of(self._base_estimator())
        tags.is_denoiser, tags.learns_scale = member.is_denoiser, member.learns_scale
        tags.has_narrow_code = True  # of every member
        return tags

    # ------------------------------------------------------------------ inside
    @property
    def _own_effort(self) -> Effort:
        return self.effort or self._base_estimator().effort

    def _base_estimator(self) -> TrainedAutoencoder:
        return Autoencoder() if self.autoencoder is None else self.autoencoder

    def _new_members(self, seed: int) -> list[TrainedAutoencoder]:
        """Return unfitted members with their seeds and settings."""
        settings = {
            "kind": self.kind,
            "effort": self.effort,
            "engine": self.engine,
            "verbose": self.verbose,
        }
        own = {
            name: value for name, value in settings.items() if value not in (None, "auto", False)
        }
        return [
            clone(self._base_estimator()).set_params(random_state=(seed + place) % 2**31, **own)
            for place in range(int(self.n_estimators))
        ]

    def _assemble(self, members: list[TrainedAutoencoder], cells: Cells) -> None:
        """Build the ensemble from fitted members, and fit the prior of its code to some rows."""
        first, longest = members[0], max(members, key=lambda member: member.history_.last_step)
        self.__dict__.update({n: v for n, v in vars(first).items() if n in _SHARED_ATTRIBUTES})
        self.estimators_ = members
        self.n_components_ = sum(member.n_components_ for member in members)
        self.history_ = longest.history_
        self.interrupted_ = any(member.interrupted_ for member in members)
        self._next_seed = first._next_seed
        self.module_ = EnsembleModule([member.module_ for member in members]).eval()
        first_rows = prior_rows(cells)
        with torch.no_grad():
            cast = first_rows._replace(values=first_rows.values.to(self.module_.center))
            self.module_.latent.fit_prior(self.module_.hidden(cast))

    def _empty_module(self, shapes: dict[str, tuple[int, ...]]) -> EnsembleModule:
        modules = []
        for place, member in enumerate(self._untrained_members()):
            start = f"members.{place}."
            own = {n.removeprefix(start): s for n, s in shapes.items() if n.startswith(start)}
            modules.append(member._empty_module(own))
        return EnsembleModule(modules)

    def _untrained_members(self) -> list[TrainedAutoencoder]:
        """Return members without weights, but with the columns and the size of their code."""
        members = self._new_members(read_seed(self.random_state))
        for member in members:
            member.__dict__.update({n: v for n, v in vars(self).items() if n in _SHARED_ATTRIBUTES})
            member.n_components_ = self.n_components_ // int(self.n_estimators)
        return members

    def __latently_restore__(self, state: dict[str, Any] | None) -> None:
        super().__latently_restore__(state)
        if state is None:
            return
        self.estimators_ = self._untrained_members()
        for place, member in enumerate(self.estimators_):
            member.module_ = self.module_.members[place]  # type: ignore[assignment, index]
            member.history_, member.interrupted_ = History(stopped=self.history_.stopped), False
            member._next_seed = self._next_seed + place

    @property
    def _has_own_network(self) -> bool:
        return self._untrained_members()[0]._has_own_network
