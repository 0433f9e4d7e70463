"""The same autoencoder from several seeds or of several sizes, trained at once where possible."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral
from typing import Any, TypeVar

import torch
from numpy.typing import ArrayLike
from sklearn.base import clone
from torch import Tensor

from latently._notices import each_once
from latently._sklearn import Interval, check_parameters
from latently._validation import read_seed
from latently.estimators._base import seeded
from latently.estimators._baselines import Spectrum
from latently.estimators._running import run_group
from latently.estimators._split import PreparedRows
from latently.estimators._trained import TrainedAutoencoder
from latently.exceptions import ParameterError
from latently.nn import with_own_settings
from latently.training import TrainingData

#: Fitted attributes that are of the rows, not of the model.
_OF_THE_ROWS = ("n_features_in_", "feature_names_in_", "preprocessor_")

Model = TypeVar("Model", bound=TrainedAutoencoder)


@with_own_settings
@each_once()
def fit_seeds(
    model: Model,
    X: Any,
    random_states: int | Sequence[int] = 8,
    *,
    groups: ArrayLike | None = None,
) -> list[Model]:
    """Fit an autoencoder from several seeds: other first weights, other rows held out.

    On a CPU, models of up to 3 million weights are trained at once, as one batched computation:
    eight small ones take three to five times as long as one. Each is the model that ``fit`` returns
    for its seed, but for rounding and for whatever it draws at random beside its first weights,
    its batches and the rows held out. Where models cannot be batched (images by convolutions,
    batch normalisation, steps that change in the course of training) they are trained one after
    the other.

    Parameters
    ----------
    model : autoencoder
        Unfitted; it stays as it is. Where ``n_components`` is "auto", the first seed's size is
        taken for all, so that the models can be compared.
    X : array-like, DataFrame, Table or image stack
        Rows, as ``fit`` takes them.
    random_states : int or sequence of int, default=8
        The seeds, or how many to draw from ``random_state`` of the model.
    groups : array-like of shape (n_samples,) or None, default=None
        Group of each row; a group is on one side of each model's split.

    Returns
    -------
    list of autoencoder
        Fitted, one a seed; ``stability`` says which of their components agree.

    Raises
    ------
    ParameterError
        If the model is none that is trained from a seed, or there is no seed.
    DataError
        If the rows cannot be used.
    ResourceError
        If all models together need more memory than is free, or than ``max_memory`` allows.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from latently import Autoencoder, fit_seeds
    >>> models = fit_seeds(Autoencoder(2, max_epochs=5, random_state=0), load_iris().data, 3)
    >>> [model.n_components_ for model in models]
    [2, 2, 2]
    """
    _check_trained(model, "fit_seeds")
    seeds = _seeds(model, random_states)
    models: list[Model] = [clone(model).set_params(random_state=seed) for seed in seeds]
    fit_together(models, X, groups)
    return models


@with_own_settings
@each_once()
def fit_sizes(
    model: Model, X: Any, n_components: Sequence[int], *, groups: ArrayLike | None = None
) -> list[Model]:
    """Fit an autoencoder with codes of several sizes, on the same rows and from the same seed.

    They are trained at once where ``fit_seeds`` would train models at once and the code is plain:
    a smaller code lies in the shape of the largest one, beside zeros that nothing reaches. Each is
    the model that ``fit`` returns for its size, but for rounding. Others are trained one after the
    other.

    Parameters
    ----------
    model : autoencoder
        Unfitted; it stays as it is.
    X : array-like, DataFrame, Table or image stack
        Rows, as ``fit`` takes them.
    n_components : sequence of int
        The sizes.
    groups : array-like of shape (n_samples,) or None, default=None
        Group of each row; a group is on one side of the split.

    Returns
    -------
    list of autoencoder
        Fitted, one a size, in the order given.

    Raises
    ------
    ParameterError
        If the model is none that is trained from a seed, or there is no size.
    DataError
        If the rows cannot be used.

    See Also
    --------
    Autoencoder : ``n_components="auto"`` finds a size by one training, of a code whose first
        components say most.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from latently import Autoencoder, fit_sizes
    >>> models = fit_sizes(Autoencoder(max_epochs=5, random_state=0), load_iris().data, [1, 2, 3])
    >>> [model.n_components_ for model in models]
    [1, 2, 3]
    """
    _check_trained(model, "fit_sizes")
    sizes = list(n_components)
    if not sizes:
        raise ParameterError("n_components names no size. Give one at least, such as [2, 4, 8].")
    given = model.random_state
    seed = given if isinstance(given, Integral) else read_seed(given)
    models: list[Model] = [
        clone(model).set_params(n_components=size, random_state=seed) for size in sizes
    ]
    fit_together(models, X, groups)
    return models


def _check_trained(model: Any, function: str) -> None:
    if not isinstance(model, TrainedAutoencoder):
        raise ParameterError(
            f"{function} trains autoencoders such as Autoencoder(), got {type(model).__name__}. "
            "Fit others one by one."
        )


def fit_together(
    models: Sequence[TrainedAutoencoder],
    X: Any,
    groups: ArrayLike | None = None,
    sample_weight: ArrayLike | None = None,
    split_seed: int | None = None,
) -> Group:
    """Fit models that differ in their seed or in the size of their code.

    Parameters
    ----------
    models : sequence of autoencoder
        Fitted in place.
    X, groups, sample_weight
        As ``fit`` takes them.
    split_seed : int or None, default=None
        Of the rows that all hold out; None lets each hold out its own.

    Returns
    -------
    Group
        Their rows.

    Raises
    ------
    ResourceError
        If all of them together need more memory than is free, or than ``max_memory`` allows.
    """
    for model in models:
        model._check_parameters()
    found = models[0]._prepare(X, None, sample_weight, groups)
    group = Group(models, found, split_seed)
    for place in range(len(models)):
        group.set_up(place)
        if not place:
            models[0]._check_copies_fit(len(models))
    at_once = group.train_at_once()
    for place in range(len(models)):
        group.finish(place, is_trained=at_once)
    return group


class Group:
    """Models that see the same rows, of which each holds some out.

    Parameters
    ----------
    models : sequence of autoencoder
        Unfitted.
    found : PreparedRows
        The rows.
    split_seed : int or None
        Of the rows that all hold out; None lets each hold out its own.
    """

    def __init__(
        self,
        models: Sequence[TrainedAutoencoder],
        found: PreparedRows,
        split_seed: int | None = None,
    ) -> None:
        self.models, self.first, self.found = models, models[0], found
        seeds = [read_seed(model.random_state) for model in models]
        self.splits = [found.split(seed if split_seed is None else split_seed) for seed in seeds]
        self.options = [
            model._options(len(split.train), seed)
            for model, split, seed in zip(models, self.splits, seeds, strict=True)
        ]
        #: A PCA of what each model learns from, and torch's chance after its first weights.
        self.spectra: list[Spectrum] = []
        self.chances: list[Tensor] = []
        for model in models:
            model.__dict__.update({n: v for n, v in vars(self.first).items() if n in _OF_THE_ROWS})

    def sides(self, place: int) -> tuple[TrainingData, TrainingData | None]:
        """Return what one model learns from and is judged by."""
        train, valid = self.splits[place]
        return self.found.rows.select(train), self.found.rows.select(valid) if len(valid) else None

    def set_up(self, place: int) -> None:
        """Build the module of one model, with its own size of code, or that of the first one."""
        options, model = self.options[place], self.models[place]
        like = self.first if place and model.n_components == "auto" else None
        with seeded(options.seed):
            self.spectra.append(model._set_up(*self.sides(place), options, like))
            self.chances.append(torch.get_rng_state())

    def train_at_once(self) -> bool:
        """Train all models as one; False, and nothing done, where that cannot be."""
        # A kind that shows its network something else than rows shows each model its own.
        shares_rows = type(self.first)._lesson is TrainedAutoencoder._lesson
        if self.first.interrupted_ or not shares_rows:
            return False
        pairs = [(split.train, split.valid) for split in self.splits]
        corruption = self.first._make_corruption()
        with seeded(self.options[0].seed):
            return run_group(self.models, self.found.rows, pairs, self.options, corruption)

    def finish(self, place: int, *, is_trained: bool) -> None:
        """Train one model, unless it is, and judge it."""
        model, options = self.models[place], self.options[place]
        train_rows, valid_rows = self.sides(place)
        with seeded(options.seed):
            if is_trained:
                model._settle(train_rows, valid_rows)
            elif not model.interrupted_:
                torch.set_rng_state(self.chances[place])
                model._train(train_rows, valid_rows, options)
            model._conclude(train_rows, valid_rows, self.found.rows, self.spectra[place], options)


def _seeds(model: TrainedAutoencoder, given: int | Sequence[int]) -> list[int]:
    if not isinstance(given, Integral):
        seeds = [int(seed) for seed in given]  # type: ignore[union-attr]  # no number: a sequence
        if not seeds:
            raise ParameterError("random_states names no seed. Give one at least, or a number.")
        return seeds
    limits = {"random_states": [Interval(Integral, 1, None, closed="left")]}
    check_parameters(limits, {"random_states": given}, "fit_seeds")
    start = read_seed(model.random_state)
    return [(start + place) % 2**31 for place in range(int(given))]
