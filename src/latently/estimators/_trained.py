"""Base class of autoencoders that combine a network, a latent and a corruption."""

from __future__ import annotations

import copy
from dataclasses import KW_ONLY, dataclass
from numbers import Integral, Real
from pathlib import Path
from typing import Any, ClassVar, Literal, Self, get_args

import numpy as np
import torch
from numpy.typing import ArrayLike
from sklearn.base import clone
from torch import Tensor

from latently._sklearn import HasMethods, Interval, StrOptions
from latently._validation import (
    KIND_CONSTRAINT,
    MIN_ROWS,
    ArrayKind,
    Input,
    check_n_rows,
    read_input,
    read_weights,
)
from latently.estimators._base import BaseAutoencoder
from latently.estimators._generative import GenerativeAutoencoder
from latently.estimators._protocol import AutoencoderTags, fitted_of, tags_of
from latently.estimators._seeding import seeded
from latently.estimators.fit._baselines import Spectrum, automatic_components
from latently.estimators.fit._effort import EFFORT_CONSTRAINT, Effort
from latently.estimators.fit._prepare import (
    LIMIT_CONSTRAINTS,
    MAX_CATEGORIES_CONSTRAINT,
    check_module_memory,
    check_rows_memory,
    chunk_options,
    default_network,
    encode,
    extended_preprocessor,
    in_canonical_order,
    make_preprocessor,
    normalized_weights,
    to_training_data,
    training_data,
    training_options,
)
from latently.estimators.fit._split import PreparedRows, Splitter, split_rule
from latently.estimators.fit._streaming import open_stream
from latently.estimators.fit._trainer import Trainer
from latently.exceptions import DataError, ParameterError
from latently.io import TableDataset
from latently.io.dataset._dataset import as_dataset
from latently.nn import (
    AutoencoderModule,
    ColumnLikelihood,
    Corruption,
    CustomNetwork,
    Deterministic,
    GaussianNoise,
    Latent,
    Likelihood,
    Masking,
    Network,
    mean_offset,
)
from latently.preprocessing import (
    MAX_CATEGORIES,
    LikelihoodChoice,
    Preprocessor,
    warn_of_far_rows,
)
from latently.training import (
    ENGINE_METHODS,
    Engine,
    TrainingData,
    TrainingOptions,
    TrainingRows,
    checkpointing,
    resolve_engine,
)

#: Maximum size of a code, if it is searched.
_MOST_SEARCHED = 64
#: Fitted attributes that not every fit sets, removed before the next one.
_OPTIONAL_ATTRIBUTES = ("rotation_", "components_curve_", "n_trained_", "n_refit_steps_")


@dataclass(eq=False, repr=False)
class TrainedAutoencoder(GenerativeAutoencoder):
    """Autoencoder of a network, a latent and a corruption, trained by gradient descent.

    A subclass usually overrides ``_make_network``, ``_make_latent`` or ``_make_corruption``. The
    parameters are described in each subclass.
    """

    n_components: int | Literal["auto"] = "auto"
    _: KW_ONLY
    network: Network | None = None
    corruption: Corruption | None = None
    likelihood: LikelihoodChoice | ColumnLikelihood = "auto"
    kind: ArrayKind = "auto"
    max_categories: int = MAX_CATEGORIES
    max_epochs: int | Literal["auto"] = "auto"
    batch_size: int | Literal["auto"] = "auto"
    learning_rate: float = 2e-3
    weight_decay: float = 0.01
    gradient_clip: float | None = 1.0
    effort: Effort = "balanced"
    validation_fraction: float = 0.1
    shuffle: bool = True
    splitter: Splitter | None = None
    refit: bool = False
    patience: int | None = 10
    time_limit: float | None = None
    max_memory: float | None = None
    engine: str | Engine = "auto"
    random_state: int | np.random.RandomState | None = None
    verbose: bool = False

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "n_components": [Interval(Integral, 1, None, closed="left"), StrOptions({"auto"})],
        "network": [HasMethods("build"), None],
        "corruption": [callable, None],
        "likelihood": [
            StrOptions(set(get_args(LikelihoodChoice))),
            HasMethods(["loss", "mean", "draw", "offset", "least", "deviance"]),
        ],
        "kind": KIND_CONSTRAINT,
        "max_categories": MAX_CATEGORIES_CONSTRAINT,
        "max_epochs": [Interval(Integral, 1, None, closed="left"), StrOptions({"auto"})],
        "batch_size": [Interval(Integral, 1, None, closed="left"), StrOptions({"auto"})],
        "learning_rate": [Interval(Real, 0, None, closed="neither")],
        "weight_decay": [Interval(Real, 0, None, closed="left")],
        "gradient_clip": [Interval(Real, 0, None, closed="neither"), None],
        "validation_fraction": [Interval(Real, 0, 1, closed="left")],
        "effort": EFFORT_CONSTRAINT,
        "shuffle": ["boolean"],
        "splitter": [HasMethods("split"), None],
        "refit": ["boolean"],
        "patience": [Interval(Integral, 1, None, closed="left"), None],
        **LIMIT_CONSTRAINTS,
        "engine": [str, HasMethods(ENGINE_METHODS)],
        "random_state": ["random_state"],
        "verbose": ["boolean"],
    }

    _searched: ClassVar[dict[str, Any]] = {
        "corruption": [None, GaussianNoise(0.05), GaussianNoise(0.2), Masking(0.05)]
    }

    def search_space(self) -> dict[str, Any]:
        """Return the values of each parameter that ``tune`` tries by default.

        Returns
        -------
        dict of str to list or tuple
            Those of the parameters and, if ``network`` has a method ``search_space``, of those of
            the network.
        """
        of_network: dict[str, Any] = getattr(self.network, "search_space", dict)()
        return {
            **self._searched_rates(),
            **{f"network__{name}": values for name, values in of_network.items()},
            **self._searched,
            "batch_size": ["auto", 32, 64, 128],
            "n_components": (2, _MOST_SEARCHED, "log"),
        }

    def __sklearn_tags__(self) -> AutoencoderTags:
        tags = super().__sklearn_tags__()
        tags.decodes_codes = tags.keeps_means = tags.fits_together = True
        return tags

    # ------------------------------------------------------------------ hooks
    @property
    def _own_likelihood(self) -> ColumnLikelihood | None:
        """The likelihood given as an object; None where it was given by name."""
        return None if isinstance(self.likelihood, str) else self.likelihood

    @property
    def _likelihood(self) -> LikelihoodChoice:
        """Name of the likelihood, or of the one whose encoding an object expects."""
        return self.likelihood if isinstance(self.likelihood, str) else self.likelihood.encoding

    def _make_preprocessor(self, data: Input) -> Preprocessor:
        return make_preprocessor(data, self._likelihood, self.max_categories)

    def _make_network(self) -> Network:
        return default_network(self.preprocessor_.layout) if self.network is None else self.network

    def _make_latent(self, n_components: int) -> Latent:
        return Deterministic(n_components)

    def _make_corruption(self) -> Corruption | None:
        return self.corruption

    # ------------------------------------------------------------------ fitting
    def fit(
        self,
        X: Any,
        y: Any = None,
        sample_weight: ArrayLike | None = None,
        *,
        groups: ArrayLike | None = None,
        checkpoint: str | Path | None = None,
    ) -> Self:
        """Fit the autoencoder to rows.

        The order of the rows has no effect, unless ``shuffle=False`` or a ``splitter`` uses it. A
        row of weight 2 is equivalent to two copies of that row.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features), DataFrame, Table, image stack or dataset
            Numbers, or columns of numbers, booleans, categories, texts and dates, or images of
            shape (n, h, w), (n, h, w, c) or (n, c, h, w). Cells may be missing. A
            ``TableDataset``, or a dataset of pyarrow, remains on disk. It is read in every pass and
            may be larger than memory.
        y : array-like of shape (n_samples,) or None, default=None
            Labels, used only by a ``splitter`` that needs them.
        sample_weight : array-like of shape (n_samples,) or None, default=None
            Weight of each row, at least zero. None gives all rows the same weight.
        groups : array-like of shape (n_samples,) or None, default=None
            Group of each row, such as its patient or machine. The rows of a group are either all
            held out or all trained on.
        checkpoint : str or Path or None, default=None
            Folder in which the training is saved every half minute. A fit on the same rows with
            the same parameters that was saved there is resumed and ends with bitwise equal
            weights. See ``checkpointing``. None saves nothing.

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
            If the fit needs more memory than is free, or than ``max_memory`` allows.
        """
        with checkpointing(checkpoint):
            return self._fit(X, None, sample_weight, groups, y)

    def __latently_fit_pairs__(self, X: Any, y: Any) -> Self:
        """Fit the autoencoder to map each row of ``X`` to the same row of ``y``."""
        return self._fit(X, y, None)

    def _fit(
        self,
        X: Any,
        target: Any,
        sample_weight: ArrayLike | None,
        groups: ArrayLike | None = None,
        labels: Any = None,
    ) -> Self:
        self._check_parameters()
        dataset = as_dataset(X)
        if dataset is not None:
            return self._fit_dataset(dataset, target, sample_weight, groups)
        found = self._prepare(X, target, sample_weight, groups, labels)
        seed = self._draw_seed()
        split = found.split(seed)
        return self._train(*found.sides(split), found.rows, seed)

    def _prepare(
        self,
        X: Any,
        target: Any = None,
        sample_weight: ArrayLike | None = None,
        groups: ArrayLike | None = None,
        labels: Any = None,
    ) -> PreparedRows:
        """Validate and encode rows, and determine the split."""
        # The target determines the kind of images, because noise takes X beyond their range.
        paired = target is not None
        data = read_input(self, X, reset=True, min_rows=MIN_ROWS, is_declared=paired)
        target = None if target is None else self._read_target(target, data)
        weights = read_weights(sample_weight, X, len(data))
        n_given = len(data)
        rule = split_rule(
            self.validation_fraction, self.shuffle, self.splitter, groups, n_given, labels
        )
        for name in _OPTIONAL_ATTRIBUTES:
            self.__dict__.pop(name, None)
        data, target, weights, positions, content = in_canonical_order(data, target, weights)
        self.preprocessor_ = self._make_preprocessor(data if target is None else target)
        check_rows_memory(self.preprocessor_, data, target, self.max_memory)
        rows = training_data(self.preprocessor_, data, target, normalized_weights(weights))
        distinct = content if sample_weight is None else None
        return PreparedRows(rows, rule, positions, n_given, distinct)

    def _fit_dataset(
        self,
        dataset: TableDataset,
        target: Any,
        sample_weight: ArrayLike | None,
        groups: ArrayLike | None,
    ) -> Self:
        """Fit to rows on disk, which are read in every pass."""
        if target is not None:
            raise ParameterError(
                "X must be in memory if y holds targets, got a dataset. Give fit a sample of the "
                "rows."
            )
        first = next(iter(dataset))
        read_input(self, first, reset=True)
        check_n_rows(self, dataset.shape, MIN_ROWS)
        weights = read_weights(sample_weight, None, dataset.n_rows)
        if weights is not None:
            weights = weights / weights[weights > 0].mean()  # rows without weight are left out
        rule = split_rule(
            self.validation_fraction, self.shuffle, self.splitter, groups, dataset.n_rows
        )
        seed = self._draw_seed()
        for name in _OPTIONAL_ATTRIBUTES:
            self.__dict__.pop(name, None)
        engine = resolve_engine(self.engine)
        stream = open_stream(
            dataset,
            self._likelihood,
            self.max_categories,
            rule,
            seed,
            self.verbose,
            engine,
            weights,
        )
        self.preprocessor_ = stream.preprocessor
        return self._train(stream.train, stream.valid, stream.every, seed)

    def partial_fit(self, X: Any, y: Any = None, sample_weight: ArrayLike | None = None) -> Self:
        """Train for one pass over a chunk of rows, at a constant learning rate.

        The first call fixes columns, categories and scaling, so that it needs a representative
        chunk. Categories that occur only later are treated as unknown. A model file has no state
        of the optimizer, so that the first call after ``load`` starts it anew.

        Parameters
        ----------
        X : array-like, DataFrame, Table or image stack
            Next rows.
        y : None
            Ignored.
        sample_weight : array-like of shape (n_samples,) or None, default=None
            Weight of each row. None gives all rows the same weight.

        Returns
        -------
        self
            The updated estimator.

        Raises
        ------
        DataError
            If the rows cannot be used.
        DivergenceError
            If training diverged three times.
        """
        self._check_parameters()
        first = not hasattr(self, "module_")
        data = read_input(self, X, reset=True) if first else fitted_of(self).validate(X)
        warn_of_far_rows(data)
        weights = read_weights(sample_weight, X, len(data))
        seed = self._draw_seed() if first else self._next_seed
        if first:
            self.preprocessor_ = self._make_preprocessor(data)
        cells = encode(self.preprocessor_, data, fitting=True)
        if not first:
            self.preprocessor_ = extended_preprocessor(self.preprocessor_, cells)
        rows = to_training_data(cells, None, normalized_weights(weights))
        trainer = Trainer(self, rows, None, rows, chunk_options(self, rows.n_rows, seed))
        with seeded(seed):
            if first:
                trainer.prepare()
            state = getattr(self, "_optimizer_state", None)
            self._optimizer_state: dict[str, Any] | None = trainer.learn(state)
        self._next_seed = seed + 1
        return self

    def _check_parameters(self) -> None:
        for name in ("network", "corruption", "likelihood"):
            part = getattr(self, name)
            if isinstance(part, type):
                raise ParameterError(
                    f"{name} must be an instance, got the class {part.__name__}. Write "
                    f"{part.__name__}()."
                )
        super()._check_parameters()

    def _read_target(self, target: Any, data: Input) -> Input:
        read = read_input(copy.copy(self), target, reset=True, min_rows=MIN_ROWS)
        if np.shape(read) != np.shape(data) or type(read) is not type(data):
            raise DataError(
                f"y must match X row by row and column by column, got shape "
                f"{np.shape(read)} for X of shape {np.shape(data)}."
            )
        return read

    def _train(
        self,
        train_rows: TrainingRows,
        valid_rows: TrainingData | None,
        every_row: TrainingRows,
        seed: int,
    ) -> Self:
        options = self._options(train_rows.n_rows, seed)
        Trainer(self, train_rows, valid_rows, every_row, options).run()
        return self

    def _choose_n_components(self, trainer: Trainer) -> int:
        """Return the size of the code, which subclasses may select by a trial training."""
        return self._default_n_components(trainer.spectrum)

    def _after_comparison(self, rows: TrainingData) -> None:
        """Describe the model on the rows of ``baselines_``. Do nothing by default."""

    def _check_copies_fit(self, n_models: int) -> None:
        """Raise ResourceError if there is not enough memory for ``n_models`` such models."""
        if not self._has_own_network:
            width = self.preprocessor_.layout.width
            check_module_memory(
                lambda: self._build_module(torch.zeros(width)), self.max_memory, n_models
            )

    def _default_n_components(self, spectrum: Spectrum) -> int:
        """Return the size of the code, from the parameters and a PCA alone."""
        if self.n_components != "auto":
            return int(self.n_components)
        return automatic_components(spectrum)

    @property
    def can_copy_rows(self) -> bool:
        """True if the code has room for a copy of the row and inputs are not corrupted."""
        width = self.preprocessor_.layout.width
        return 1 < width < self.n_components_ and self._make_corruption() is None

    def _build_module(self, mean: Tensor) -> AutoencoderModule:
        layout = self.preprocessor_.layout
        latent = self._make_latent(self.n_components_)
        encoder, decoder = self._make_network().build(
            layout.shape, latent.n_hidden, latent.n_decoded, layout.width
        )
        own = self._own_likelihood
        offset = mean_offset(layout, mean, own)
        likelihood = Likelihood(layout, offset, tags_of(self).learns_scale, own=own)
        return AutoencoderModule(encoder, latent, decoder, likelihood, mean)

    @property
    def _has_own_network(self) -> bool:
        """True if the user supplies the torch modules, whose size is then not checked."""
        network = self._make_network()
        is_ours = type(network).__module__.startswith("latently.")
        return not is_ours or isinstance(network, CustomNetwork)

    def _empty_module(self, shapes: dict[str, tuple[int, ...]]) -> AutoencoderModule:
        return self._build_module(torch.zeros(self.preprocessor_.layout.width))

    def _options(self, n_rows: int, seed: int) -> TrainingOptions:
        """Return the options of a training on ``n_rows`` rows."""
        return training_options(self, n_rows, seed)


def with_default_network(model: BaseAutoencoder, X: Any) -> BaseAutoencoder:
    """Return an unfitted copy whose ``network`` is the default for some rows.

    Models without such a network are returned themselves.
    """
    if not isinstance(model, TrainedAutoencoder):
        return model
    copy: TrainedAutoencoder = clone(model)
    copy._check_parameters()
    data = read_input(copy, X, reset=True, min_rows=MIN_ROWS)
    copy.preprocessor_ = copy._make_preprocessor(data)
    fresh: TrainedAutoencoder = clone(model).set_params(network=copy._make_network())
    return fresh
