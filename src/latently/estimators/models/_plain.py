"""Base class of autoencoders with a deterministic code, whose size can be selected and cut."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, replace
from numbers import Integral
from typing import Any, ClassVar, Self, cast

import numpy as np

from latently._sklearn import Interval, check_parameters
from latently._validation import check_fitted
from latently.estimators._seeding import seeded
from latently.estimators._sizes import ComponentsCurve, most_components, size_errors
from latently.estimators._trained import TrainedAutoencoder
from latently.estimators.fit._baselines import unexplained_shares
from latently.estimators.fit._prepare import deadline_after
from latently.estimators.fit._trainer import Trainer
from latently.exceptions import DataError, ParameterError
from latently.nn import Deterministic, Latent, Ordered, checked_latent
from latently.training import TrainingData

#: Fraction of the steps of a training that trains codes of all sizes to select one.
_TRIAL_STEPS = 0.4
#: Fraction of a limited training time for the same.
_TRIAL_TIME = 0.3


@dataclass(kw_only=True, eq=False, repr=False)
class PlainAutoencoder(TrainedAutoencoder):
    """Autoencoder with a deterministic code, whose components are sorted if ``ordered``."""

    ordered: bool = False
    latent: Callable[[int], Latent] | None = None

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **TrainedAutoencoder._parameter_constraints,
        "ordered": ["boolean"],
        "latent": [callable, None],
    }

    def _check_parameters(self) -> None:
        super()._check_parameters()
        if self.ordered and self.latent is not None:
            raise ParameterError(
                f"ordered must be False with latent={self.latent!r:.60}, got True. Drop one."
            )

    def _make_latent(self, n_components: int) -> Latent:
        if self.latent is not None:
            return checked_latent(self.latent(n_components), n_components)
        n_trained: int | None = getattr(self, "n_trained_", None)
        if not self.ordered and n_trained is None:
            return Deterministic(n_components)
        return Ordered(n_components, n_trained)

    def _choose_n_components(self, trainer: Trainer) -> int:
        """Train codes of all sizes at once and select one by the curve of their errors."""
        spectrum, valid_rows, options = trainer.spectrum, trainer.valid, trainer.options
        size = self._default_n_components(spectrum)
        most = most_components(spectrum)
        given = self.n_components != "auto" or most == 1 or self.latent is not None
        if given or valid_rows is None or valid_rows.target is not None:
            return size
        trial = copy.copy(self)
        trial.ordered, trial.n_components_ = True, most
        n_steps = max(round(_TRIAL_STEPS * options.n_steps), 1)
        shortened = replace(options, n_steps=n_steps, deadline=deadline_after(options, _TRIAL_TIME))
        with seeded(options.seed):
            training = replace(trainer, model=trial, options=shortened)
            training.build(spectrum, trainer.train.sample.inputs)
            training.learn(title=f"{type(self).__name__}: codes of 1 to {most} components")
        layout = self.preprocessor_.layout
        errors = size_errors(trial.module_, valid_rows.inputs)
        by_pca = unexplained_shares(spectrum, valid_rows.inputs, layout, most).numpy()
        # A nonlinear code of a size can reach the lower of the two errors.
        errors[: len(by_pca)] = np.minimum(errors[: len(by_pca)], by_pca)
        self.components_curve_ = ComponentsCurve.choose(errors)
        size = self.components_curve_.n_components
        if trial.interrupted_:
            self._keep_interrupted_trial(trial, size)
        return size

    def _keep_interrupted_trial(self, trial: Self, size: int) -> None:
        """Use the interrupted trial, cut to a size, as the fitted model."""
        self.history_, self.interrupted_ = trial.history_, True
        self.module_, self.n_trained_ = trial.module_, trial.n_components_
        self.module_.latent = cast(Ordered, trial.module_.latent).cut(size)

    def _after_comparison(self, rows: TrainingData) -> None:
        """Keep the error of each size of an ordered code."""
        if self.ordered and rows.target is None and not hasattr(self, "components_curve_"):
            self.components_curve_ = ComponentsCurve.choose(size_errors(self.module_, rows.inputs))

    def cut(self, n_components: int) -> Self:
        """Return a copy with only the first components of the code, without training.

        Parameters
        ----------
        n_components : int
            Number of components to keep. ``components_curve_`` holds the error of each number.

        Returns
        -------
        autoencoder
            Fitted copy with a smaller code. The original is not changed.

        Raises
        ------
        DataError
            If the model was not fitted with ``ordered=True``, so that its components have no order.
        ParameterError
            If ``n_components`` is larger than the size of the code.

        Examples
        --------
        >>> from sklearn.datasets import load_iris
        >>> from latently import Autoencoder
        >>> X = load_iris().data
        >>> model = Autoencoder(4, ordered=True, max_epochs=20, random_state=0).fit(X)
        >>> model.cut(2).transform(X).shape
        (150, 2)
        """
        check_fitted(self)
        latent = self.module_.latent
        if not isinstance(latent, Ordered):
            raise DataError(
                f"The components of this {type(self).__name__} have no order, so that none can be "
                "cut. Fit it with ordered=True."
            )
        limits = {"n_components": [Interval(Integral, 1, latent.n_components, closed="both")]}
        name = f"{type(self).__name__}.cut"
        check_parameters(limits, {"n_components": n_components}, name)
        model = copy.copy(self)
        for attribute in ("rotation_", "baselines_", "n_refit_steps_"):
            model.__dict__.pop(attribute, None)
        model.n_components = model.n_components_ = int(n_components)
        model.n_trained_ = latent.n_trained
        model.module_ = copy.deepcopy(self.module_)
        model.module_.latent = latent.cut(int(n_components))
        model.module_.eval()
        model._optimizer_state = None
        return model
