"""The autoencoders that are trained: Network x Latent x Corruption, with the one loop."""

from __future__ import annotations

import copy
from dataclasses import KW_ONLY, dataclass, replace
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
from latently.estimators._answers import Answers
from latently.estimators._base import seeded
from latently.estimators._baselines import Spectrum, automatic_components, fit_spectrum
from latently.estimators._effort import EFFORT_CONSTRAINT, Effort
from latently.estimators._fitting import (
    LIMITS,
    MAX_CATEGORIES_CONSTRAINT,
    check_fits,
    check_module_fits,
    chunk_options,
    default_network,
    encode,
    extended,
    in_canonical_order,
    make_preprocessor,
    mean_one,
    prior_rows,
    training_data,
    training_options,
    weighted,
)
from latently.estimators._running import run_loop
from latently.estimators._split import PreparedRows, Splitter, split_rule
from latently.estimators._streaming import open_stream
from latently.exceptions import DataError, ParameterError
from latently.io import TableDataset, as_dataset
from latently.nn import (
    AutoencoderModule,
    Cells,
    Corruption,
    CustomNetwork,
    Deterministic,
    Latent,
    Likelihood,
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

#: What is chosen with the size of a code.
_OF_THE_SIZE = ("n_components_", "n_active_")
#: What is left by one fit and must not outlive the next.
_OF_ONE_FIT = ("rotation_", "components_curve_", "n_trained_", "n_refit_steps_")


@dataclass(eq=False, repr=False)
class TrainedAutoencoder(Answers):
    """Network x Latent x Corruption, trained by gradient descent.

    Subclasses fill at most three hooks: ``_make_network``, ``_make_latent``, ``_make_corruption``.
    The parameters are described in each of them.
    """

    n_components: int | Literal["auto"] = "auto"
    _: KW_ONLY
    network: Network | None = None
    corruption: Corruption | None = None
    likelihood: LikelihoodChoice = "auto"
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
    max_seconds: float | None = None
    max_memory: float | None = None
    engine: str | Engine = "auto"
    random_state: int | np.random.RandomState | None = None
    verbose: bool = False

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "n_components": [Interval(Integral, 1, None, closed="left"), StrOptions({"auto"})],
        "network": [HasMethods("build"), None],
        "corruption": [callable, None],
        "likelihood": [StrOptions(set(get_args(LikelihoodChoice)))],
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
        **LIMITS,
        "engine": [str, HasMethods(ENGINE_METHODS)],
        "random_state": ["random_state"],
        "verbose": ["boolean"],
    }

    # ------------------------------------------------------------------ hooks
    @property
    def _likelihood(self) -> LikelihoodChoice:
        """The likelihood asked for, or the one that the kind of model needs."""
        return self.likelihood

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
        """Learn to rebuild rows.

        The order of the rows of ``X`` does not matter, unless ``shuffle=False`` or a splitter looks
        at it, and a row of weight 2 counts as that row twice.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features), DataFrame, Table, image stack or dataset
            Numbers; or columns of numbers, booleans, categories, texts, dates; or images of shape
            (n, h, w), (n, h, w, c) or (n, c, h, w). Cells may be missing. A ``TableDataset``, or
            one of pyarrow, stays on disk: its rows are read anew in every pass, and may be more
            than fit into memory.
        y : array-like of shape (n_samples,) or None, default=None
            Labels, for a ``splitter`` that needs them; nothing is learnt from them.
        sample_weight : array-like of shape (n_samples,) or None, default=None
            Weight of each row, at least zero; None weighs all the same.
        groups : array-like of shape (n_samples,) or None, default=None
            Label of the group of each row, such as its patient or machine: a group is held out
            whole or not at all, so that the validation rows are strangers.
        checkpoint : str or Path or None, default=None
            Folder to save the training to every half minute. Where a fit on the same rows with the
            same parameters was saved there, this one goes on from it, to the same weights to the
            bit; see ``checkpointing``. None saves nothing.

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
            If training ran away three times.
        ResourceError
            If more memory is needed than there is, or than ``max_memory`` allows.
        """
        with checkpointing(checkpoint):
            return self._fit(X, None, sample_weight, groups, y)

    def fit_pairs(self, X: Any, target: Any, *, checkpoint: str | Path | None = None) -> Self:
        """Learn to turn each row of ``X`` into the same row of ``target``, as a denoiser does.

        Parameters
        ----------
        X : array-like, DataFrame, Table or image stack
            What the encoder sees.
        target : like X
            What is to be rebuilt.
        checkpoint : str or Path or None, default=None
            Folder to save the training to, as in ``fit``.

        Returns
        -------
        self
            The fitted estimator.

        Raises
        ------
        DataError
            If the two do not match row by row.
        """
        with checkpointing(checkpoint):
            return self._fit(X, target, None)

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
        valid_rows = found.rows.select(split.valid) if len(split.valid) else None
        return self._learn(found.rows.select(split.train), valid_rows, found.rows, seed)

    def _prepare(
        self,
        X: Any,
        target: Any = None,
        sample_weight: ArrayLike | None = None,
        groups: ArrayLike | None = None,
        labels: Any = None,
    ) -> PreparedRows:
        """Judge and encode rows, and choose how to hold some of them out."""
        # Of pairs it is the target that shows what they are: noise takes X beyond any range.
        paired = target is not None
        data = read_input(self, X, reset=True, min_rows=MIN_ROWS, is_declared=paired)
        goal = None if target is None else self._read_target(target, data)
        weights = read_weights(sample_weight, X, len(data))
        n_given = len(data)
        rule = split_rule(
            self.validation_fraction, self.shuffle, self.splitter, groups, n_given, labels
        )
        for name in _OF_ONE_FIT:
            self.__dict__.pop(name, None)
        data, goal, weights, positions, content = in_canonical_order(data, goal, weights)
        self.preprocessor_ = self._make_preprocessor(data if goal is None else goal)
        check_fits(self.preprocessor_, data, goal, self.max_memory)
        rows = training_data(self.preprocessor_, data, goal, mean_one(weights))
        distinct = content if sample_weight is None else None
        return PreparedRows(rows, rule, positions, n_given, distinct)

    def _fit_dataset(
        self,
        dataset: TableDataset,
        target: Any,
        sample_weight: ArrayLike | None,
        groups: ArrayLike | None,
    ) -> Self:
        """Learn from rows on disk, which are read anew in every pass."""
        if target is not None:
            raise ParameterError(
                "A target needs rows in memory, got a dataset. Give fit_pairs some of the rows."
            )
        first = next(iter(dataset))
        read_input(self, first, reset=True)
        check_n_rows(self, dataset.shape, MIN_ROWS)
        weights = read_weights(sample_weight, None, dataset.n_rows)
        if weights is not None:
            weights = weights / weights[weights > 0].mean()  # the others are left out
        rule = split_rule(
            self.validation_fraction, self.shuffle, self.splitter, groups, dataset.n_rows
        )
        seed = self._draw_seed()
        for name in _OF_ONE_FIT:
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
        return self._learn(stream.train, stream.valid, stream.every, seed)

    def partial_fit(self, X: Any, y: Any = None, sample_weight: ArrayLike | None = None) -> Self:
        """Pass once over a chunk of rows, at a constant learning rate.

        The first call sets columns, categories and scaling for good; give it a representative
        chunk. Values that come later and were not in it count as unknown.

        Parameters
        ----------
        X : array-like, DataFrame, Table or image stack
            The next rows.
        y : None
            Ignored.
        sample_weight : array-like of shape (n_samples,) or None, default=None
            Weight of each row.

        Returns
        -------
        self
            The estimator, a little further.

        Raises
        ------
        DataError
            If the rows cannot be used.
        """
        self._check_parameters()
        first = not hasattr(self, "module_")
        data = read_input(self, X, reset=first, fitted_on=None if first else self._fitted_on)
        warn_of_far_rows(data)
        weights = read_weights(sample_weight, X, len(data))
        seed = self._draw_seed() if first else self._next_seed
        if first:
            self.preprocessor_ = self._make_preprocessor(data)
        cells = encode(self.preprocessor_, data, fitting=True)
        if not first:
            self.preprocessor_ = extended(self.preprocessor_, cells)
        rows = weighted(cells, None, mean_one(weights))
        with seeded(seed):
            if first:
                spectrum = fit_spectrum(rows.inputs, self.preprocessor_.layout)
                self.n_components_ = self._count_components(spectrum)
                self._start(spectrum, rows.inputs)
            state = getattr(self, "_optimizer_state", None)
            options = chunk_options(self, rows.n_rows, seed)
            self._optimizer_state: dict[str, Any] | None = self._train(rows, None, options, state)
        self._next_seed = seed + 1
        return self

    def _check_parameters(self) -> None:
        if isinstance(self.network, type):
            raise ParameterError(
                f"network must be an instance, got the class {self.network.__name__}. Write "
                f"{self.network.__name__}()."
            )
        super()._check_parameters()

    def _with_network(self, X: Any) -> Self:
        """Return an unfitted copy with the network that it would choose for some rows."""
        copy: Self = clone(self)
        copy._check_parameters()
        data = read_input(copy, X, reset=True, min_rows=MIN_ROWS)
        copy.preprocessor_ = copy._make_preprocessor(data)
        fresh: Self = clone(self).set_params(network=copy._make_network())
        return fresh

    def _read_target(self, target: Any, data: Input) -> Input:
        goal = read_input(copy.copy(self), target, reset=True, min_rows=MIN_ROWS)
        if np.shape(goal) != np.shape(data) or type(goal) is not type(data):
            raise DataError(
                f"The target must match X row by row and column by column, got shape "
                f"{np.shape(goal)} for X of shape {np.shape(data)}."
            )
        return goal

    def _learn(
        self,
        train_rows: TrainingRows,
        valid_rows: TrainingData | None,
        every_row: TrainingRows,
        seed: int,
    ) -> Self:
        """Train from beginning to end and hold the result against mean and PCA."""
        options = self._options(train_rows.n_rows, seed)
        with seeded(seed):
            spectrum = self._set_up(train_rows, valid_rows, options)
            if not self.interrupted_:
                self._train(train_rows, valid_rows, options)
            self._conclude(train_rows, valid_rows, every_row, spectrum, options)
        return self

    def _set_up(
        self,
        train_rows: TrainingRows,
        valid_rows: TrainingData | None,
        options: TrainingOptions,
        like: TrainedAutoencoder | None = None,
    ) -> Spectrum:
        """Choose the size of the code, or take that of a model, and build the untrained module."""
        cells = train_rows.sample.take(slice(None)).target
        spectrum = fit_spectrum(cells, self.preprocessor_.layout)
        self.interrupted_ = False
        if like is None:
            self.n_components_ = self._find_size(spectrum, train_rows, valid_rows, options)
        else:
            self.__dict__.update({n: v for n, v in vars(like).items() if n in _OF_THE_SIZE})
        if not self.interrupted_:
            self._start(spectrum, cells)
        return spectrum

    def _conclude(
        self,
        train_rows: TrainingRows,
        valid_rows: TrainingData | None,
        every_row: TrainingRows,
        spectrum: Spectrum,
        options: TrainingOptions,
    ) -> None:
        """Hold the trained model against mean and PCA, and refit where asked for."""
        self._judge(train_rows.sample, valid_rows, spectrum)
        if self.refit and valid_rows is not None and not self.interrupted_:
            self._fit_again(every_row, options)
        self._optimizer_state = None
        self._next_seed = options.seed + 1

    def _fit_again(self, rows: TrainingRows, options: TrainingOptions) -> None:
        """Train anew on all rows, for as many steps as were found to be best."""
        judged, n_steps = self.history_, self.history_.best_step
        if not n_steps:
            return
        cells = rows.sample.take(slice(None)).target
        self._start(fit_spectrum(cells, self.preprocessor_.layout), cells)
        self._train(rows, None, replace(options, n_steps=n_steps, patience=None, keep_best=False))
        self.n_refit_steps_ = self.history_.last_step
        self.history_ = judged

    def _start(self, spectrum: Spectrum, cells: Cells) -> None:
        """Build the untrained module for some training rows, if there is memory for it."""
        self._check_copies_fit(1)
        self.module_ = self._build_module(spectrum.mean)

    def _check_copies_fit(self, n_models: int) -> None:
        """Raise ResourceError if there is no memory for so many models like this one."""
        if not self._has_own_network:
            width = self.preprocessor_.layout.width
            check_module_fits(
                lambda: self._build_module(torch.zeros(width)), self.max_memory, n_models
            )

    def _find_size(
        self,
        spectrum: Spectrum,
        train_rows: TrainingRows,
        valid_rows: TrainingData | None,
        options: TrainingOptions,
    ) -> int:
        """Return the size of the code, by trying where that pays."""
        return self._count_components(spectrum)

    def _count_components(self, spectrum: Spectrum) -> int:
        """Return the size of the code, by parameters and a PCA alone."""
        if self.n_components != "auto":
            return int(self.n_components)
        return automatic_components(spectrum)

    @property
    def can_copy_rows(self) -> bool:
        """True if the code has room for a copy of the row and no corruption speaks against one."""
        width = self.preprocessor_.layout.width
        return 1 < width < self.n_components_ and self._make_corruption() is None

    def _build_module(self, mean: Tensor) -> AutoencoderModule:
        layout = self.preprocessor_.layout
        latent = self._make_latent(self.n_components_)
        encoder, decoder = self._make_network().build(
            layout.shape, latent.n_hidden, latent.n_decoded, layout.width
        )
        likelihood = Likelihood(layout, mean_offset(layout, mean), self._learns_scale)
        return AutoencoderModule(encoder, latent, decoder, likelihood, mean)

    @property
    def _has_own_network(self) -> bool:
        """True where the modules are the user's, who knows how large they are."""
        network = self._make_network()
        is_ours = type(network).__module__.startswith("latently.")
        return not is_ours or isinstance(network, CustomNetwork)

    def _empty_module(self, shapes: dict[str, tuple[int, ...]]) -> AutoencoderModule:
        return self._build_module(torch.zeros(self.preprocessor_.layout.width))

    def _options(self, n_rows: int, seed: int) -> TrainingOptions:
        """Return how to train on so many rows from beginning to end."""
        return training_options(self, n_rows, seed)

    def _lesson(self, rows: TrainingData) -> TrainingData:
        """Return what the loop is shown of some rows."""
        return rows

    def _train(
        self,
        train_rows: TrainingRows,
        valid_rows: TrainingData | None,
        options: TrainingOptions,
        optimizer_state: dict[str, Any] | None = None,
        title: str | None = None,
    ) -> dict[str, Any]:
        """Run the loop on the engine, keep its best weights, return the optimiser's state."""
        lessons = train_rows.through(self._lesson), valid_rows and self._lesson(valid_rows)
        corruption = self._make_corruption()
        state = run_loop(self, *lessons, options, corruption, optimizer_state, title)
        self._settle(train_rows, valid_rows)
        return state

    def _settle(self, train_rows: TrainingRows, valid_rows: TrainingData | None) -> None:
        """Fit what belongs to a trained code: its prior, and what counts as active."""
        with torch.no_grad():
            first_rows = prior_rows(train_rows.sample.inputs)
            self.module_.latent.fit_prior(self.module_.hidden(first_rows))
            unseen = prior_rows((valid_rows or train_rows.sample).inputs)
            self.module_.latent.calibrate(self.module_.hidden(unseen))
