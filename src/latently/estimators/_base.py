"""Base class of all autoencoders: reconstruction, scores, saving and restoring."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from numbers import Integral
from typing import Any, ClassVar, Self

import numpy as np
import torch
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin

from latently._codec import OWN, name_in_file
from latently._sklearn import Interval, check_parameters
from latently._validation import check_fitted, read_codes, read_seed
from latently.estimators._inference import cell_errors, code_of, reconstruction_of, row_errors
from latently.estimators._protocol import (
    AutoencoderTags,
    Fitted,
    SupportName,
    fitted_of,
    rounding_of,
)
from latently.estimators._rotation import Rotation
from latently.estimators._saving import SaveMixin
from latently.estimators._seeding import seeded
from latently.estimators._state_checks import (
    check_fitted_state,
    check_history,
    check_module,
    check_weights,
)
from latently.estimators.fit._effort import Effort
from latently.estimators.fit._prepare import check_answer_memory
from latently.exceptions import DataError, ModelFileError, ParameterError
from latently.io.dataset._dataset import as_dataset
from latently.nn import AutoencoderModule
from latently.preprocessing import Preprocessor
from latently.schema import plain_rows
from latently.training import Engine, History, check_threads, resolve_engine

#: Bounds of the learning rate in a search, as factors of its value.
_SLOWER, _FASTER = 0.25, 4.0
#: Fitted attributes that are written to a model file in addition to weights and history.
_SAVED = (
    "n_features_in_",
    "feature_names_in_",
    "n_components_",
    "n_active_",
    "preprocessor_",
    "n_trained_",
    "baselines_",
    "components_curve_",
    "n_refit_steps_",
    "rotation_",
    "interrupted_",
)
#: Fitted attributes that are saved in another form, or that follow from others.
_SAVED_ELSEWHERE = (*_SAVED, "module_", "history_", "estimators_")
#: Attributes whose text ends the summary of a model.
_SUMMARY_RECORDS = ("components_curve_", "baselines_")


class BaseAutoencoder(
    SaveMixin,
    ClassNamePrefixFeaturesOutMixin,  # type: ignore[misc]  # sklearn is untyped
    TransformerMixin,  # type: ignore[misc]
    BaseEstimator,  # type: ignore[misc]
    ABC,
):
    """Estimator around a torch module that reconstructs rows.

    A subclass implements ``fit``, which sets ``module_``, and ``_empty_module``, which builds the
    module of a saved model before its weights are loaded.
    """

    renamed_attributes: ClassVar[Mapping[str, str]] = {
        **SaveMixin.renamed_attributes,
        "fit_pairs": "fit(X, y) of a DenoisingAutoencoder or a UNetAutoencoder",
        **{
            name: f"sklearn.utils.get_tags(model).{name}"
            for name in ("judges_own_rows", "takes_any_size", "is_denoiser", "has_narrow_code")
        },
    }

    effort: Effort
    engine: str | Engine
    random_state: int | np.random.RandomState | None
    module_: AutoencoderModule
    preprocessor_: Preprocessor
    history_: History
    n_components_: int

    renamed_parameters: ClassVar[Mapping[str, str]] = {"max_seconds": "time_limit"}
    _parameter_constraints: ClassVar[dict[str, list[Any]]]
    #: Values that ``tune`` tries for the parameters that only this kind has.
    _searched: ClassVar[dict[str, Any]] = {}

    @abstractmethod
    def fit(self, X: Any, y: Any = None) -> Self:
        """Fit the model to rows."""

    @abstractmethod
    def partial_fit(self, X: Any, y: Any = None) -> Self:
        """Update the model with the next rows of a stream."""

    @abstractmethod
    def _empty_module(self, shapes: dict[str, tuple[int, ...]]) -> AutoencoderModule:
        """Return an untrained module whose weights have these shapes."""

    def _check_parameters(self) -> None:
        check_threads()
        params = self.get_params(deep=False)
        check_parameters(self._parameter_constraints, params, type(self).__name__)

    @property
    def can_copy_rows(self) -> bool:
        """True if the code has room for a copy of the row, so that any row can be reconstructed."""
        return False

    # ------------------------------------------------------------------ answers
    def transform(self, X: Any) -> np.ndarray:
        """Return the code of each row.

        Parameters
        ----------
        X : array-like, DataFrame, Table or image stack
            Rows with the columns of ``fit``.

        Returns
        -------
        ndarray of shape (n_samples, n_components)
            Codes, as float32 for float32 rows and as float64 for all others.

        Raises
        ------
        DataError
            If the rows cannot be used.
        """
        codes = fitted_of(self).infer(X, code_of)
        rotation: Rotation | None = getattr(self, "rotation_", None)
        return codes if rotation is None else rotation.apply(codes)

    def inverse_transform(self, X: ArrayLike, *, support: SupportName = "column") -> Any:
        """Decode codes into rows of the type seen in ``fit``.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_components)
            Codes, as ``transform`` returns them.
        support : {"column", "free"}, default="column"
            "column" returns values that each column can hold: within the bounds of the training
            rows, on their grid of decimals or steps. "free" returns the expected value of each
            number, which has the least squared error.

        Returns
        -------
        ndarray, DataFrame, Table or image stack
            Rows in the columns, types and units of ``fit``.

        Raises
        ------
        DataError
            If the codes have another shape.
        """
        check_fitted(self)
        rounding = rounding_of(support, "inverse_transform")
        values = fitted_of(self).decode(read_codes(X, self.n_components_))
        return self.preprocessor_.decode(values, rounding=rounding)

    def interpolate(
        self, first: Any, last: Any, n_steps: int = 8, *, support: SupportName = "column"
    ) -> Any:
        """Decode codes on the straight line between the codes of two rows.

        The line is straight, because neither the codes of a plain model nor the posterior means of
        a variational one lie on a sphere.

        Parameters
        ----------
        first, last : array-like, DataFrame, Table or image stack
            One row each, with the columns of ``fit``.
        n_steps : int, default=8
            Number of rows to return, both ends included.
        support : {"column", "free"}, default="column"
            "column" returns values that each column can hold: within the bounds of the training
            rows, on their grid of decimals or steps. "free" returns the expected value of each
            number, which has the least squared error.

        Returns
        -------
        ndarray, DataFrame, Table or image stack
            Rows from the reconstruction of ``first`` to the one of ``last``, in the columns, types
            and units of ``fit``.

        Raises
        ------
        DataError
            If ``first`` or ``last`` is not exactly one row.
        """
        limits = {"n_steps": [Interval(Integral, 2, None, closed="left")]}
        check_parameters(limits, {"n_steps": n_steps}, "interpolate")
        ends = [self.transform(rows) for rows in (first, last)]
        if any(len(end) != 1 for end in ends):
            raise DataError(
                f"first and last must be one row each, got {len(ends[0])} and {len(ends[1])} rows. "
                "Select one, such as X[:1]."
            )
        check_answer_memory(
            n_steps, self.preprocessor_.layout.width + self.n_components_,
            f"Interpolating {n_steps:,} rows", "Give n_steps a smaller number",
        )  # fmt: skip
        codes = np.linspace(ends[0][0], ends[1][0], n_steps)
        return self.inverse_transform(codes, support=support)

    def reconstruct(self, X: Any, *, support: SupportName = "column") -> Any:
        """Reconstruct rows from their codes. Missing cells are filled.

        Parameters
        ----------
        X : array-like, DataFrame, Table or image stack
            Rows with the columns of ``fit``.
        support : {"column", "free"}, default="column"
            "column" returns values that each column can hold: within the bounds of the training
            rows, on their grid of decimals or steps. "free" returns the expected value of each
            number, which has the least squared error.

        Returns
        -------
        ndarray, DataFrame, Table or image stack
            Rows in the columns, types and units of ``fit``. A frame is of the library of ``X``.

        Raises
        ------
        DataError
            If the rows cannot be used.
        """
        check_fitted(self)
        rounding = rounding_of(support, "reconstruct")
        dataset = as_dataset(X)
        like = plain_rows(X) if dataset is None else dataset.schema.empty_table()
        values = fitted_of(self).infer(X, reconstruction_of)
        return self.preprocessor_.decode(values, like=like, rounding=rounding)

    def reconstruction_error(self, X: Any, *, per_feature: bool = False) -> np.ndarray:
        """Return the reconstruction error of each row or of each cell.

        The error of a cell is its half deviance in nats, which is comparable across columns and
        zero for a perfect reconstruction. For a number with a "gaussian" likelihood it is half the
        squared difference, in standard deviations of the column. For a category it is the negative
        logarithm of the probability of its value.

        Parameters
        ----------
        X : array-like, DataFrame, Table or image stack
            Rows with the columns of ``fit``.
        per_feature : bool, default=False
            If True, return the error of each cell.

        Returns
        -------
        ndarray of shape (n_samples,) or (n_samples, n_features) or of the images' shape
            Mean error over the observed cells of each row, or the error of each cell in the order
            of the columns, which is zero for missing cells.

        Raises
        ------
        DataError
            If the rows cannot be used.
        """
        inner = fitted_of(self)
        if per_feature:
            return self.preprocessor_.in_order(inner.infer(X, cell_errors))
        return inner.infer(X, row_errors)

    def score_samples(self, X: Any) -> np.ndarray:
        """Return the normality score of each row, its negative reconstruction error.

        Parameters
        ----------
        X : array-like, DataFrame, Table or image stack
            Rows with the columns of ``fit``.

        Returns
        -------
        ndarray of shape (n_samples,)
            Score in nats per column. Higher is more normal.
        """
        return -self.reconstruction_error(X)

    def summary(self) -> str:
        """Describe the fitted model in a few lines.

        Returns
        -------
        str
            Sizes, training, and the comparison with the column means and PCA.
        """
        check_fitted(self)
        n_parameters = sum(p.numel() for p in self.module_.parameters())
        n_columns = self.preprocessor_.layout.n_columns
        lines = [
            f"{type(self).__name__}: {n_columns:,} columns -> {self.n_components_:,} components, "
            f"{n_parameters:,} parameters",
            f"trained for {self.history_.last_step:,} steps ({self.history_.stopped}), "
            f"best at step {self.history_.best_step:,}; effort: {self._own_effort}",
        ]
        if hasattr(self, "n_refit_steps_"):
            lines.append(f"trained again on all rows for {self.n_refit_steps_:,} steps")
        lines += [str(getattr(self, name)) for name in _SUMMARY_RECORDS if hasattr(self, name)]
        return "\n".join(lines)

    def search_space(self) -> dict[str, Any]:
        """Return the values of each parameter that ``tune`` tries by default.

        Returns
        -------
        dict of str to list or tuple
            A list of choices, a range (low, high), or a range (low, high, "log"), as the parameter
            ``space`` of ``tune`` takes them.

        Examples
        --------
        >>> from latently import NeighborAutoencoder
        >>> NeighborAutoencoder().search_space()["robust"]
        [False, True]
        """
        return {**self._searched_rates(), **self._searched}

    # ------------------------------------------------------------------ inside
    def _searched_rates(self) -> dict[str, Any]:
        rate = self.get_params(deep=False).get("learning_rate")
        if rate is None:
            return {}
        return {
            "learning_rate": (_SLOWER * float(rate), _FASTER * float(rate), "log"),
            "weight_decay": (1e-4, 0.1, "log"),
        }

    @property
    def _own_effort(self) -> Effort:
        """Effort of the training."""
        return self.effort

    @property
    def _n_features_out(self) -> int:
        return self.n_components_

    def _draw_seed(self) -> int:
        """Return the seed of a fit, which is the same on all workers."""
        workers = resolve_engine(self.engine).workers
        return workers.compute_on_first(lambda: read_seed(self.random_state))

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "module_")

    def __latently_fitted__(self) -> Fitted[Self]:
        return Fitted(self)

    def __latently_fit_pairs__(self, X: Any, y: Any) -> Self:
        """Fit the autoencoder to map each row of ``X`` to the same row of ``y``."""
        raise ParameterError(
            f"y must be None or labels for a {type(self).__name__}, got rows to reconstruct. Use a "
            "DenoisingAutoencoder, or a UNetAutoencoder for images."
        )

    def __sklearn_tags__(self) -> AutoencoderTags:
        tags = AutoencoderTags.of(super().__sklearn_tags__())
        corruption = getattr(self, "corruption", None)
        tags.is_denoiser, tags.has_narrow_code = corruption is not None, hasattr(self, "corruption")
        tags.input_tags.allow_nan = True
        tags.input_tags.three_d_array = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags

    @property
    def _has_own_network(self) -> bool:
        """True if the user supplies the torch modules, whose size is then not checked."""
        return False

    def __latently_state__(self) -> dict[str, Any]:
        if not hasattr(self, "module_"):
            return {}
        names = (*_SAVED, *(name for name in vars(self) if self._is_own_state(name)))
        state = {name: getattr(self, name) for name in names if hasattr(self, name)}
        weights = {name: w.numpy() for name, w in self.module_.state_dict().items()}
        seed = {"next_seed": self._next_seed} if hasattr(self, "_next_seed") else {}
        return {**state, **seed, "history_": self.history_.to_dict(), "weights": weights}

    def _is_own_state(self, name: str) -> bool:
        """Return True for a fitted attribute that is added by a class of the user."""
        if not name_in_file(type(self)).startswith(OWN) or hasattr(type(self), name):
            return False
        is_fitted = name.endswith("_") and not name.startswith("_")
        return is_fitted and name not in _SAVED_ELSEWHERE

    def __latently_restore__(self, state: dict[str, Any] | None) -> None:
        self._check_parameters()
        if state is None:
            return
        check_fitted_state(state)
        weights = state.pop("weights", None)
        if not isinstance(weights, dict):
            raise ModelFileError("The model has no weights.", "config")
        self.history_ = check_history(state.pop("history_", None))
        next_seed: int | None = state.pop("next_seed", None)
        if not all(name in _SAVED or self._is_own_state(name) for name in state):
            raise ModelFileError("The model has fitted attributes of unknown names.", "config")
        for name, value in state.items():
            setattr(self, name, value)
        # Older files lack the seed of the next ``partial_fit``, which follows that of ``fit``.
        self._next_seed = next_seed or read_seed(self.random_state) + 1
        tensors = {name: torch.from_numpy(w) for name, w in weights.items()}
        shapes = {name: tuple(w.shape) for name, w in weights.items()}

        def build() -> AutoencoderModule:
            return self._empty_module(shapes)

        known = None if self._has_own_network else build
        check_weights(known, tensors, self.preprocessor_.layout, self.n_components_)
        with seeded(0):
            self.module_ = build()
        self.module_.load_state_dict(tensors)
        self.module_.eval()
        if self.n_components_ != self.module_.latent.n_components:
            raise ModelFileError("The model's n_components_ is of another code.", "config")
        check_module(self.module_)
