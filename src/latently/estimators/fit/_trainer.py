"""The training of one autoencoder on encoded rows: prepare, learn, conclude."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, Literal, Protocol, Self

import torch
from torch import Tensor

from latently.estimators._inference import ask, reconstruction_of
from latently.estimators._seeding import seeded
from latently.estimators.fit._baselines import (
    Baselines,
    Spectrum,
    compare_with_baselines,
    fit_spectrum,
)
from latently.estimators.fit._prepare import prior_rows
from latently.estimators.fit._run_loop import Trainable, run_loop
from latently.nn import AutoencoderModule, Cells, Corruption
from latently.preprocessing import Preprocessor, TablePreprocessor
from latently.training import TrainingData, TrainingOptions, TrainingRows

#: Fitted attributes that are set when the size of the code is selected.
_SIZE_ATTRIBUTES = ("n_components_", "n_active_")


class Trainee(Trainable, Protocol):
    """Attributes of an autoencoder that a ``Trainer`` uses and sets."""

    refit: bool
    n_components_: int
    n_refit_steps_: int
    preprocessor_: Preprocessor
    baselines_: Baselines
    _next_seed: int
    _optimizer_state: dict[str, Any] | None

    def _choose_n_components(self, trainer: Trainer) -> int: ...
    def _check_copies_fit(self, n_models: int) -> None: ...
    def _build_module(self, mean: Tensor) -> AutoencoderModule: ...
    def _make_corruption(self) -> Corruption | None: ...
    def _after_comparison(self, rows: TrainingData) -> None: ...


@dataclass
class Trainer:
    """Training of an autoencoder, which stores the result in the attributes of the model.

    ``run`` has three parts, which a joint fit of several models calls one by one:

    1. ``prepare`` selects the size of the code and builds the untrained module;
    2. ``learn`` runs the training loop and fits the prior of the code;
    3. ``conclude`` compares with baselines and, if ``refit``, trains again on all rows.

    Parameters
    ----------
    model : TrainedAutoencoder
        Model with a preprocessor, which is fitted in place.
    train : TrainingRows
        Training rows.
    valid : TrainingData or None
        Validation rows.
    every : TrainingRows
        All rows, for ``refit``.
    options : TrainingOptions
        Options of the training, with its seed.
    """

    model: Trainee
    train: TrainingRows
    valid: TrainingData | None
    every: TrainingRows
    options: TrainingOptions
    #: PCA of the training rows, set by ``prepare``.
    spectrum: Spectrum = field(init=False)

    def run(self) -> None:
        """Train the model, from the seed of the options."""
        with seeded(self.options.seed):
            self.prepare()
            if not self.model.interrupted_:
                self.learn()
            self.conclude()

    def prepare(self, like: Trainee | None = None) -> Self:
        """Select the size of the code, or copy it from ``like``, and build the untrained module."""
        model, cells = self.model, _targets(self.train)
        self.spectrum = fit_spectrum(cells, model.preprocessor_.layout)
        model.interrupted_ = False
        if like is None:
            model.n_components_ = model._choose_n_components(self)
        else:
            model.__dict__.update({n: v for n, v in vars(like).items() if n in _SIZE_ATTRIBUTES})
        if not model.interrupted_:
            self.build(self.spectrum, cells)
        return self

    def build(self, spectrum: Spectrum, cells: Cells) -> None:
        """Build the untrained module for some training rows, after a check of the free memory."""
        self.model._check_copies_fit(1)
        module = self.model._build_module(spectrum.mean)
        module.begin_fit(cells, spectrum.components, spectrum.mean_square)
        self.model.module_ = module

    def learn(
        self, optimizer_state: dict[str, Any] | None = None, title: str | None = None
    ) -> dict[str, Any]:
        """Run the training loop, keep the best weights and return the state of the optimizer."""
        model = self.model
        state = run_loop(
            model, self.train.through(self._view), self.valid and self._view(self.valid),
            self.options, model._make_corruption(), optimizer_state, title,
        )  # fmt: skip
        self.fit_latent()
        return state

    def _view(self, rows: TrainingData) -> TrainingData:
        """Return the inputs and targets of the training loop for some rows."""
        inputs = self.model.module_.training_inputs(rows.inputs)
        if inputs is rows.inputs:
            return rows
        return TrainingData(inputs, rows.take(slice(None)).target, rows.weight)

    def fit_latent(self) -> None:
        """Fit the prior of the trained code and calibrate its thresholds."""
        module = self.model.module_
        with torch.no_grad():
            first_rows = prior_rows(self.train.sample.inputs)
            module.latent.fit_prior(module.hidden(first_rows))
            unseen = prior_rows((self.valid or self.train.sample).inputs)
            module.latent.calibrate(module.hidden(unseen))

    def conclude(self) -> None:
        """Set ``baselines_`` and, if ``refit``, train again on all rows."""
        model, train_rows = self.model, self.train.sample
        compare(model, train_rows, self.valid, self.spectrum)
        model._after_comparison(train_rows if self.valid is None else self.valid)
        if model.refit and self.valid is not None and not model.interrupted_:
            self._refit()
        model._optimizer_state = None
        model._next_seed = self.options.seed + 1

    def _refit(self) -> None:
        """Train again on all rows, for the number of steps that was best."""
        model, first_history = self.model, self.model.history_
        n_steps = first_history.best_step
        if not n_steps:
            return
        cells = _targets(self.every)
        self.build(fit_spectrum(cells, model.preprocessor_.layout), cells)
        options = replace(self.options, n_steps=n_steps, patience=None, keep_best=False)
        Trainer(model, self.every, None, self.every, options).learn()
        model.n_refit_steps_ = model.history_.last_step
        model.history_ = first_history


class Compared(Protocol):
    """Attributes of an autoencoder that ``compare`` uses and sets."""

    module_: Any
    preprocessor_: Preprocessor
    baselines_: Baselines


def compare(
    model: Compared, train_rows: TrainingData, valid_rows: TrainingData | None, spectrum: Spectrum
) -> None:
    """Set ``baselines_``, on the validation rows or, without any, on the training rows."""
    evaluated = train_rows if valid_rows is None else valid_rows
    reconstruction = ask(model.module_, evaluated.inputs, reconstruction_of)
    if isinstance(model.preprocessor_, TablePreprocessor):
        model.preprocessor_ = model.preprocessor_.calibrated(reconstruction.double().numpy())
    target = evaluated.take(slice(None)).target
    which: Literal["training", "validation"] = "training" if valid_rows is None else "validation"
    model.baselines_ = compare_with_baselines(
        model.module_, spectrum, target, reconstruction, which
    )


def _targets(rows: TrainingRows) -> Cells:
    """Return the rows to reconstruct, or a sample of them if they are on disk."""
    return rows.sample.take(slice(None)).target
