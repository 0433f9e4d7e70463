"""Base class of tasks: one autoencoder, fitted here or given fitted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import narwhals as nw
import numpy as np
from sklearn.base import BaseEstimator, clone
from sklearn.frozen import FrozenEstimator

from latently._codec import OWN, check_state, name_in_file
from latently._sklearn import HasMethods, check_parameters
from latently._validation import KIND_CONSTRAINT, ArrayKind, check_fitted
from latently.estimators import (
    EFFORT_CONSTRAINT,
    BaseAutoencoder,
    DenoisingAutoencoder,
    Effort,
    SaveMixin,
    fitted_of,
)
from latently.exceptions import ModelFileError, ParameterError


@dataclass(kw_only=True, eq=False, repr=False)
class AutoencoderTask(SaveMixin, BaseEstimator):  # type: ignore[misc]  # sklearn is untyped
    """A use of an autoencoder, itself an estimator."""

    autoencoder: BaseAutoencoder | None = None
    random_state: int | np.random.RandomState | None = None
    effort: Effort | None = None
    kind: ArrayKind = "auto"

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "autoencoder": [HasMethods(["fit", "transform"]), None],
        "random_state": ["random_state"],
        "effort": [*EFFORT_CONSTRAINT, None],
        "kind": KIND_CONSTRAINT,
    }

    def _default_autoencoder(self) -> BaseAutoencoder:
        return DenoisingAutoencoder()

    def _check_parameters(self) -> None:
        params = {name: getattr(self, name) for name in self._parameter_constraints}
        check_parameters(self._parameter_constraints, params, type(self).__name__)

    def _fit_autoencoder(self, X: Any, target: Any = None) -> BaseAutoencoder:
        """Use a fitted autoencoder or fit a copy, and store the attributes of its input."""
        self._check_parameters()
        given = self.autoencoder
        if isinstance(given, FrozenEstimator):
            given = given.estimator
            check_fitted(given)
        if given is not None and given.__sklearn_is_fitted__():
            self.autoencoder_: BaseAutoencoder = given
            given.transform(X)  # refuses rows that the fitted model cannot take
        else:
            self.autoencoder_ = self._fresh(given, X)
            if target is None:
                self.autoencoder_.fit(X)
            else:
                self.autoencoder_.__latently_fit_pairs__(X, target)
        self._take_over()
        return self.autoencoder_

    def _fresh(self, given: BaseAutoencoder | None, X: Any = None) -> BaseAutoencoder:
        made: BaseAutoencoder = self._default_autoencoder() if given is None else clone(given)
        told = {"random_state": self.random_state, "effort": self.effort, "kind": self.kind}
        own = {name: value for name, value in told.items() if value not in (None, "auto")}
        if "kind" in own and "kind" not in made.get_params(deep=False):
            raise ParameterError(
                f'kind="images" needs an autoencoder of images, got {type(made).__name__}. Use '
                "a ConvolutionalAutoencoder."
            )
        made.set_params(**own)
        return made

    def _take_over(self) -> None:
        self.n_features_in_ = self.autoencoder_.n_features_in_
        self.__dict__.pop("feature_names_in_", None)  # of an earlier fit
        if hasattr(self.autoencoder_, "feature_names_in_"):
            self.feature_names_in_ = self.autoencoder_.feature_names_in_

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "autoencoder_")

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        given = self._default_autoencoder() if self.autoencoder is None else self.autoencoder
        tags.input_tags = given.__sklearn_tags__().input_tags
        return tags

    def __latently_state__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name.endswith("_")}

    #: Fitted attributes, with their types in a model file.
    _fitted_types: ClassVar[dict[str, type | tuple[type, ...]]] = {
        "autoencoder_": BaseAutoencoder,
        "n_features_in_": int,
    }
    #: Optional fitted attributes, with their types in a model file.
    _optional_types: ClassVar[dict[str, type | tuple[type, ...]]] = {
        "feature_names_in_": np.ndarray
    }

    def __latently_restore__(self, state: dict[str, Any] | None) -> None:
        self._check_parameters()
        if state is None:
            return
        optional = {name: kind for name, kind in self._optional_types.items() if name in state}
        known = self._fitted_types | optional
        check_state(state, known)
        if not all(name in known or self._is_own_state(name) for name in state):
            raise ModelFileError("The model has fitted attributes of unknown names.", "config")
        for name, value in state.items():
            setattr(self, name, value)
        if not self.autoencoder_.__sklearn_is_fitted__():
            raise ModelFileError("The model's autoencoder_ is not fitted.", "config")
        self._check_consistent()

    def _is_own_state(self, name: str) -> bool:
        """Return True for a fitted attribute that a class of the user's own adds."""
        is_fitted = name.endswith("_") and not name.startswith("_")
        is_own = name_in_file(type(self)).startswith(OWN)
        return is_own and is_fitted and not hasattr(type(self), name)

    def _check_consistent(self) -> None:
        """Raise LatentlyError if fitted attributes of a file contradict each other."""
        model = self.autoencoder_
        names, theirs = (getattr(one, "feature_names_in_", ()) for one in (self, model))
        if self.n_features_in_ != model.n_features_in_ or list(names) != list(theirs):
            raise ModelFileError("The model has other columns than its autoencoder_.", "config")


def default_autoencoder(task: AutoencoderTask) -> BaseAutoencoder:
    """Return the unfitted autoencoder that a task fits if it is given none."""
    return task._default_autoencoder()


def as_fitted(model: BaseAutoencoder, answer: Any) -> Any:
    """Return answers about a frame as an array where ``fit`` saw one, which had no names."""
    if fitted_of(model).container == "frame" or not nw.dependencies.is_into_dataframe(answer):
        return answer
    return nw.from_native(answer, eager_only=True).to_numpy()
