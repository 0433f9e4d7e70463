"""Joint fits of one autoencoder from several seeds or with several sizes of code."""

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
from latently.estimators._seeding import seeded
from latently.estimators._trained import TrainedAutoencoder
from latently.estimators.fit._baselines import Spectrum
from latently.estimators.fit._run_loop import run_group
from latently.estimators.fit._split import PreparedRows
from latently.estimators.fit._trainer import Trainer
from latently.exceptions import ParameterError
from latently.nn import AutoencoderModule, with_own_settings

#: Fitted attributes that depend on the rows, not on the model.
_DATA_ATTRIBUTES = ("n_features_in_", "feature_names_in_", "preprocessor_")

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
    """Fit an autoencoder from several seeds, each with its own initial weights and split.

    On a CPU, models of up to 3 million parameters are trained at once, as one batched computation.
    Up to rounding, each equals the model that ``fit`` returns for its seed, unless it draws random
    numbers other than its initial weights, batches and held-out rows. Models that cannot be
    batched are trained one after the other. These are models with convolutions, with batch
    normalisation or with steps that change during training.

    Parameters
    ----------
    model : autoencoder
        Unfitted autoencoder, which is not changed. With ``n_components="auto"``, all models use
        the size selected for the first seed, so that they can be compared.
    X : array-like, DataFrame, Table or image stack
        Rows, as ``fit`` takes them.
    random_states : int or sequence of int, default=8
        Seeds, or the number of seeds to derive from ``random_state`` of the model.
    groups : array-like of shape (n_samples,) or None, default=None
        Group of each row. The rows of a group are on one side of the split of each model.

    Returns
    -------
    list of autoencoder
        Fitted models, one per seed. ``latently.inspection.stability`` compares their components.

    Raises
    ------
    ParameterError
        If ``model`` is not trained by gradient descent, or there is no seed.
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
    _check_is_trainable(model, "fit_seeds")
    seeds = _seeds(model, random_states)
    models: list[Model] = [clone(model).set_params(random_state=seed) for seed in seeds]
    fit_group(models, X, groups)
    return models


@with_own_settings
@each_once()
def fit_sizes(
    model: Model, X: Any, n_components: Sequence[int], *, groups: ArrayLike | None = None
) -> list[Model]:
    """Fit an autoencoder with codes of several sizes, on the same rows and from the same seed.

    They are trained at once if ``fit_seeds`` would do so and the code is deterministic. A smaller
    code is then padded with zeros to the shape of the largest one. Up to rounding, each model
    equals the one that ``fit`` returns for its size. Other models are trained one after the other.

    Parameters
    ----------
    model : autoencoder
        Unfitted autoencoder, which is not changed.
    X : array-like, DataFrame, Table or image stack
        Rows, as ``fit`` takes them.
    n_components : sequence of int
        Sizes of the code.
    groups : array-like of shape (n_samples,) or None, default=None
        Group of each row. The rows of a group are on one side of the split.

    Returns
    -------
    list of autoencoder
        Fitted models, one per size, in the order of ``n_components``.

    Raises
    ------
    ParameterError
        If ``model`` is not trained by gradient descent, or there is no size.
    DataError
        If the rows cannot be used.

    See Also
    --------
    Autoencoder : ``n_components="auto"`` selects a size in one training, of a code with sorted
        components.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from latently import Autoencoder, fit_sizes
    >>> models = fit_sizes(Autoencoder(max_epochs=5, random_state=0), load_iris().data, [1, 2, 3])
    >>> [model.n_components_ for model in models]
    [1, 2, 3]
    """
    _check_is_trainable(model, "fit_sizes")
    sizes = list(n_components)
    if not sizes:
        raise ParameterError(
            "n_components must name at least one size, got none. Give some, such as [2, 4, 8]."
        )
    given = model.random_state
    seed = given if isinstance(given, Integral) else read_seed(given)
    models: list[Model] = [
        clone(model).set_params(n_components=size, random_state=seed) for size in sizes
    ]
    fit_group(models, X, groups)
    return models


def _check_is_trainable(model: Any, function: str) -> None:
    if not isinstance(model, TrainedAutoencoder):
        raise ParameterError(
            f"{function} needs an autoencoder that is trained by gradient descent, got "
            f"{type(model).__name__}. Give an Autoencoder(), or call fit for each."
        )


def fit_group(
    models: Sequence[TrainedAutoencoder],
    X: Any,
    groups: ArrayLike | None = None,
    sample_weight: ArrayLike | None = None,
    split_seed: int | None = None,
) -> Group:
    """Fit models that differ in their seed or in the size of their code, in place.

    Parameters
    ----------
    models : sequence of autoencoder
        Unfitted models, which are fitted in place.
    X, groups, sample_weight
        As in ``fit``.
    split_seed : int or None, default=None
        Seed of the split that all models share. None gives each model its own split.

    Returns
    -------
    Group
        The models with their rows.

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
    """Models on the same rows, each with a split of its own or with a common one.

    Parameters
    ----------
    models : sequence of autoencoder
        Unfitted models.
    found : PreparedRows
        Encoded rows.
    split_seed : int or None
        Seed of the split that all models share. None gives each model its own split.
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
        #: PCA of the training rows of each model, and generator state after its initialization.
        self.spectra: list[Spectrum] = []
        self.generator_states: list[Tensor] = []
        for model in models:
            model.__dict__.update(
                {n: v for n, v in vars(self.first).items() if n in _DATA_ATTRIBUTES}
            )

    def trainer(self, place: int) -> Trainer:
        """Return the training of one model. Its rows are copies, so that it is not kept."""
        sides = self.found.sides(self.splits[place])
        trainer = Trainer(self.models[place], *sides, self.found.rows, self.options[place])
        if place < len(self.spectra):
            trainer.spectrum = self.spectra[place]
        return trainer

    def set_up(self, place: int) -> None:
        """Build the module of one model. An "auto" size is copied from the first model."""
        is_copied = place and self.models[place].n_components == "auto"
        with seeded(self.options[place].seed):
            trainer = self.trainer(place).prepare(self.first if is_copied else None)
            self.spectra.append(trainer.spectrum)
            self.generator_states.append(torch.get_rng_state())

    def train_at_once(self) -> bool:
        """Train all models as one batch. Return False, without any change, if they cannot be."""
        if self.first.interrupted_:
            return False
        # Inputs may be computed by the module, and a batch has the same inputs for all models.
        if type(self.first.module_).training_inputs is not AutoencoderModule.training_inputs:
            return False
        pairs = [(split.train, split.valid) for split in self.splits]
        with seeded(self.options[0].seed):
            return run_group(
                self.models, self.found.rows, pairs, self.options, self.first._make_corruption()
            )

    def finish(self, place: int, *, is_trained: bool) -> None:
        """Train one model unless it is trained, and set its remaining fitted attributes."""
        trainer = self.trainer(place)
        with seeded(trainer.options.seed):
            if is_trained:
                trainer.fit_latent()
            elif not self.models[place].interrupted_:
                torch.set_rng_state(self.generator_states[place])
                trainer.learn()
            trainer.conclude()


def _seeds(model: TrainedAutoencoder, given: int | Sequence[int]) -> list[int]:
    if not isinstance(given, Integral):
        seeds = [int(seed) for seed in given]  # type: ignore[union-attr]  # no number: a sequence
        if not seeds:
            raise ParameterError(
                "random_states must name at least one seed, got none. Give some, or their number."
            )
        return seeds
    limits = {"random_states": [Interval(Integral, 1, None, closed="left")]}
    check_parameters(limits, {"random_states": given}, "fit_seeds")
    start = read_seed(model.random_state)
    return [(start + place) % 2**31 for place in range(int(given))]
