"""The spine that all autoencoders share."""

from __future__ import annotations

import copy
import threading
import warnings
from abc import ABC
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import KW_ONLY, dataclass
from numbers import Integral, Real
from typing import Any, ClassVar, Literal, Self

import numpy as np
import torch
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from torch import Tensor

from latently._codec import check_state
from latently._sklearn import HasMethods, Interval, StrOptions, check_parameters
from latently._validation import (
    MIN_ROWS,
    Input,
    check_fitted,
    read_codes,
    read_input,
    read_seed,
    read_weights,
)
from latently.estimators._baselines import Spectrum, automatic_components, compare, fit_spectrum
from latently.estimators._fitting import (
    chunk_options,
    encode,
    in_canonical_order,
    make_preprocessor,
    training_data,
    training_options,
)
from latently.estimators._inference import (
    Question,
    as_tensor,
    ask,
    cell_errors,
    code_of,
    decoded,
    drawn_code_of,
    module_for,
    reconstruction_of,
    row_errors,
)
from latently.estimators._saving import SaveMixin
from latently.estimators._split import Split, split_rows
from latently.exceptions import DataError, ParameterError, TrainingWarning
from latently.nn import (
    AutoencoderModule,
    Cells,
    Corruption,
    DenseNetwork,
    Deterministic,
    Latent,
    Likelihood,
    Network,
    mean_offset,
)
from latently.preprocessing import LikelihoodChoice, TablePreprocessor
from latently.training import (
    Engine,
    History,
    ProgressBar,
    Trained,
    TrainingData,
    TrainingOptions,
    resolve_engine,
    train,
)

#: Training rows that the prior of a plain code is fitted to.
_PRIOR_ROWS = 10_000
_ONE_AT_A_TIME = threading.RLock()
#: Fitted attributes that are written to a model file beside weights and history.
_SAVED = (
    "n_features_in_",
    "feature_names_in_",
    "n_components_",
    "n_active_",
    "preprocessor_",
    "baselines_",
    "interrupted_",
)


@dataclass(eq=False, repr=False)
class BaseAutoencoder(
    SaveMixin,
    ClassNamePrefixFeaturesOutMixin,  # type: ignore[misc]  # sklearn is untyped
    TransformerMixin,  # type: ignore[misc]
    BaseEstimator,  # type: ignore[misc]
    ABC,
):
    """Network x Latent x Corruption, with scikit-learn's methods around it.

    Subclasses fill at most three hooks: ``_make_network``, ``_make_latent``, ``_make_corruption``.
    The parameters are described in each of them.
    """

    n_components: int | Literal["auto"] = "auto"
    _: KW_ONLY
    network: Network | None = None
    corruption: Corruption | None = None
    likelihood: LikelihoodChoice = "auto"
    max_epochs: int | Literal["auto"] = "auto"
    batch_size: int | Literal["auto"] = "auto"
    learning_rate: float = 2e-3
    weight_decay: float = 0.01
    gradient_clip: float | None = 1.0
    validation_fraction: float = 0.1
    patience: int | None = 10
    engine: str | Engine = "auto"
    random_state: int | np.random.RandomState | None = None
    verbose: bool = False

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "n_components": [Interval(Integral, 1, None, closed="left"), StrOptions({"auto"})],
        "network": [HasMethods("build"), None],
        "corruption": [callable, None],
        "likelihood": [StrOptions({"auto", "gaussian", "bernoulli"})],
        "max_epochs": [Interval(Integral, 1, None, closed="left"), StrOptions({"auto"})],
        "batch_size": [Interval(Integral, 1, None, closed="left"), StrOptions({"auto"})],
        "learning_rate": [Interval(Real, 0, None, closed="neither")],
        "weight_decay": [Interval(Real, 0, None, closed="left")],
        "gradient_clip": [Interval(Real, 0, None, closed="neither"), None],
        "validation_fraction": [Interval(Real, 0, 1, closed="left")],
        "patience": [Interval(Integral, 1, None, closed="left"), None],
        "engine": [str, HasMethods(["launch", "setup", "shard", "backward", "mean"])],
        "random_state": ["random_state"],
        "verbose": ["boolean"],
    }
    #: Learn the noise of each numeric column; variational models need it.
    _learn_scale: ClassVar[bool] = False

    # ------------------------------------------------------------------ hooks
    def _make_network(self) -> Network:
        return DenseNetwork() if self.network is None else self.network

    def _make_latent(self, n_components: int) -> Latent:
        return Deterministic(n_components)

    def _make_corruption(self) -> Corruption | None:
        return self.corruption

    # ------------------------------------------------------------------ fitting
    def fit(self, X: Any, y: Any = None, sample_weight: ArrayLike | None = None) -> Self:
        """Learn to rebuild rows.

        The order of the rows of ``X`` does not matter, and a row of weight 2 counts as that row
        twice.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features), DataFrame, Table or image stack
            Numbers; or columns of numbers, booleans, categories, texts, dates; or images of shape
            (n, h, w), (n, h, w, c) or (n, c, h, w). Cells may be missing.
        y : None
            Ignored; scikit-learn's pipelines pass it.
        sample_weight : array-like of shape (n_samples,) or None, default=None
            Weight of each row, at least zero; None weighs all the same.

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
        """
        return self._fit(X, None, sample_weight)

    def fit_pairs(self, X: Any, target: Any) -> Self:
        """Learn to turn each row of ``X`` into the same row of ``target``, as a denoiser does.

        Parameters
        ----------
        X : array-like, DataFrame, Table or image stack
            What the encoder sees.
        target : like X
            What is to be rebuilt.

        Returns
        -------
        self
            The fitted estimator.

        Raises
        ------
        DataError
            If the two do not match row by row.
        """
        return self._fit(X, target, None)

    def _fit(self, X: Any, target: Any, sample_weight: ArrayLike | None) -> Self:
        self._check_parameters()
        data = read_input(self, X, reset=True, min_rows=MIN_ROWS)
        goal = None if target is None else self._read_target(target, data)
        weights = read_weights(sample_weight, X, len(data))
        seed = read_seed(self.random_state)
        data, goal, weights = in_canonical_order(data, goal, weights)
        self.preprocessor_ = make_preprocessor(data if goal is None else goal, self.likelihood)
        rows = training_data(self.preprocessor_, data, goal, weights)
        with seeded(seed):
            self._learn(rows, split_rows(rows.n_rows, self.validation_fraction, seed), seed)
        self._optimizer_state: dict[str, Any] | None = None
        self._next_seed = seed + 1
        return self

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
        weights = read_weights(sample_weight, X, len(data))
        seed = read_seed(self.random_state) if first else self._next_seed
        if first:
            self.preprocessor_ = make_preprocessor(data, self.likelihood)
        rows = training_data(self.preprocessor_, data, None, weights)
        with seeded(seed):
            if first:
                self._start(rows.inputs)
            state = getattr(self, "_optimizer_state", None)
            options = chunk_options(self, rows.n_rows, seed)
            self._optimizer_state = self._train(rows, None, options, state)
        self._next_seed = seed + 1
        return self

    def _check_parameters(self) -> None:
        if isinstance(self.network, type):
            raise ParameterError(
                f"network must be an instance, got the class {self.network.__name__}. Write "
                f"{self.network.__name__}()."
            )
        params = self.get_params(deep=False)
        check_parameters(self._parameter_constraints, params, type(self).__name__)

    def _read_target(self, target: Any, data: Input) -> Input:
        goal = read_input(copy.copy(self), target, reset=True, min_rows=MIN_ROWS)
        if np.shape(goal) != np.shape(data) or type(goal) is not type(data):
            raise DataError(
                f"The target must match X row by row and column by column, got shape "
                f"{np.shape(goal)} for X of shape {np.shape(data)}."
            )
        return goal

    def _learn(self, rows: TrainingData, split: Split, seed: int) -> None:
        """Train from beginning to end and hold the result against mean and PCA."""
        train_rows = rows.select(split.train)
        valid_rows = rows.select(split.valid) if len(split.valid) else None
        spectrum = self._start(train_rows.take(slice(None)).target)
        self._train(train_rows, valid_rows, training_options(self, train_rows.n_rows, seed))
        judged = train_rows if valid_rows is None else valid_rows
        rebuilt = ask(self.module_, judged.inputs, reconstruction_of)
        target = judged.take(slice(None)).target
        self.baselines_ = compare(
            self.module_,
            spectrum,
            target,
            rebuilt,
            "training" if valid_rows is None else "validation",
        )

    def _start(self, cells: Cells) -> Spectrum:
        """Choose the number of components and build the untrained module."""
        spectrum = fit_spectrum(cells, self.preprocessor_.layout)
        self.n_components_ = self._count_components(spectrum)
        self.module_ = self._build_module(spectrum.mean)
        return spectrum

    def _count_components(self, spectrum: Spectrum) -> int:
        if self.n_components != "auto":
            return int(self.n_components)
        return automatic_components(spectrum)

    def _build_module(self, mean: Tensor) -> AutoencoderModule:
        layout = self.preprocessor_.layout
        latent = self._make_latent(self.n_components_)
        n_hidden = latent.parameters_per_component * self.n_components_
        encoder, decoder = self._make_network().build(
            layout.shape, n_hidden, self.n_components_, layout.width
        )
        likelihood = Likelihood(layout, mean_offset(layout, mean), self._learn_scale)
        return AutoencoderModule(encoder, latent, decoder, likelihood, mean)

    def _train(
        self,
        train_rows: TrainingData,
        valid_rows: TrainingData | None,
        options: TrainingOptions,
        optimizer_state: dict[str, Any] | None = None,
    ) -> dict[str, Any]:
        """Run the loop on the engine, keep its best weights, return the optimiser's state."""
        engine = resolve_engine(self.engine)
        callbacks = [ProgressBar(type(self).__name__)] if self.verbose else []
        corruption = self._make_corruption()

        def job() -> Trained:
            return train(
                engine, self.module_, train_rows, valid_rows, options, callbacks,
                optimizer_state, corruption,
            )  # fmt: skip

        trained = engine.launch(job)
        self.module_.to("cpu")
        self.module_.load_state_dict(trained.weights)
        self.module_.eval()
        with torch.no_grad():
            first_rows = train_rows.inputs.take(slice(_PRIOR_ROWS))
            self.module_.latent.fit_prior(self.module_.hidden(first_rows))
        self.history_ = trained.history
        self.interrupted_ = trained.history.stopped == "interrupted"
        self._warn_of_trouble()
        return trained.optimizer_state

    def _warn_of_trouble(self) -> None:
        troubles = [f"Training, {event}." for event in self.history_.events]
        if self.interrupted_:
            troubles.append(
                f"Training was interrupted; the weights of step {self.history_.best_step:,} were "
                "kept."
            )
        for trouble in troubles:
            warnings.warn(trouble, TrainingWarning, stacklevel=5)

    # ------------------------------------------------------------------ answers
    def transform(self, X: Any) -> np.ndarray:
        """Return the code of each row.

        Parameters
        ----------
        X : array-like, DataFrame, Table or image stack
            Rows with the columns of ``fit``.

        Returns
        -------
        ndarray of shape (n_samples, n_components_)
            Codes, float32 for float32 rows, else float64.

        Raises
        ------
        DataError
            If the rows cannot be used.
        """
        check_fitted(self)
        return self._infer(X, code_of)

    def inverse_transform(self, X: ArrayLike) -> Any:
        """Decode codes into rows of the kind that ``fit`` saw.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_components_)
            Codes, as ``transform`` returns them.

        Returns
        -------
        ndarray, DataFrame, Table or image stack
            In the columns, types and units of ``fit``.

        Raises
        ------
        DataError
            If the codes have another shape.
        """
        check_fitted(self)
        codes = read_codes(X, self.n_components_)
        samples = Cells(as_tensor(codes))
        module = module_for(self.module_, self.engine, samples.values.dtype)
        return self.preprocessor_.decode(ask(module, samples, decoded).numpy())

    def reconstruct(self, X: Any) -> Any:
        """Rebuild rows through the code; missing cells come back filled.

        Parameters
        ----------
        X : array-like, DataFrame, Table or image stack
            Rows with the columns of ``fit``.

        Returns
        -------
        ndarray, DataFrame, Table or image stack
            In the columns, types and units of ``fit``, a frame in the library of ``X``.

        Raises
        ------
        DataError
            If the rows cannot be used.
        """
        check_fitted(self)
        return self.preprocessor_.decode(self._infer(X, reconstruction_of), like=X)

    def reconstruction_error(self, X: Any, *, per_feature: bool = False) -> np.ndarray:
        """Return how badly each row, or each cell, is rebuilt.

        A cell's error is its half deviance in nats, zero for a perfect reconstruction: half the
        squared difference in standard deviations of the column for a number, minus the log of the
        probability given to its value for a category. It is comparable across columns.

        Parameters
        ----------
        X : array-like, DataFrame, Table or image stack
            Rows with the columns of ``fit``.
        per_feature : bool, default=False
            True returns the error of each cell.

        Returns
        -------
        ndarray of shape (n_samples,) or (n_samples, n_features) or of the images' shape
            Mean over the observed cells of a row; or per cell, in the order of the columns, zero
            where a cell is missing.

        Raises
        ------
        DataError
            If the rows cannot be used.
        """
        check_fitted(self)
        if per_feature:
            return self.preprocessor_.in_order(self._infer(X, cell_errors))
        return self._infer(X, row_errors)

    def score_samples(self, X: Any) -> np.ndarray:
        """Return how normal each row is: minus its reconstruction error.

        Parameters
        ----------
        X : array-like, DataFrame, Table or image stack
            Rows with the columns of ``fit``.

        Returns
        -------
        ndarray of shape (n_samples,)
            Nats a column; higher is more normal.
        """
        return -self.reconstruction_error(X)

    def sample(
        self, n_samples: int = 1, *, random_state: int | np.random.RandomState | None = None
    ) -> Any:
        """Generate new rows from the prior of the code.

        A variational model draws codes from the standard normal that it was trained towards; any
        other from a normal fitted to the codes of its training rows.

        Parameters
        ----------
        n_samples : int, default=1
            Rows to generate.
        random_state : int, RandomState or None, default=None
            Seed; None differs from call to call.

        Returns
        -------
        ndarray, DataFrame, Table or image stack
            In the columns, types and units of ``fit``.
        """
        check_fitted(self)
        check_parameters(
            {
                "n_samples": [Interval(Integral, 1, None, closed="left")],
                "random_state": ["random_state"],
            },
            {"n_samples": n_samples, "random_state": random_state},
            f"{type(self).__name__}.sample",
        )
        with seeded(read_seed(random_state)), torch.no_grad():
            return self._generate(self.module_.latent.draw(n_samples))

    def _generate(self, codes: Tensor) -> Any:
        """Decode codes into new rows; with the noise of the likelihood, where it was learnt."""
        parameters = self.module_.decode(codes)
        noisy = self._learn_scale and isinstance(self.preprocessor_, TablePreprocessor)
        likelihood = self.module_.likelihood
        values = likelihood.draw(parameters) if noisy else likelihood.mean(parameters)
        return self.preprocessor_.decode(values.double().numpy())

    def _draw_codes(self, X: Any) -> np.ndarray:
        """Return a draw from the posterior of each row's code, as what is generated follows."""
        return self._infer(X, drawn_code_of)

    def summary(self) -> str:
        """Describe the fitted model in a few lines.

        Returns
        -------
        str
            Sizes, training, and how it compares with the column means and PCA.
        """
        check_fitted(self)
        n_parameters = sum(p.numel() for p in self.module_.parameters())
        n_columns = self.preprocessor_.layout.n_columns
        lines = [
            f"{type(self).__name__}: {n_columns:,} columns -> {self.n_components_:,} components, "
            f"{n_parameters:,} weights",
            f"trained for {self.history_.last_step:,} steps ({self.history_.stopped}), "
            f"best at step {self.history_.best_step:,}",
        ]
        if hasattr(self, "baselines_"):
            lines.append(str(self.baselines_))
        return "\n".join(lines)

    # ------------------------------------------------------------------ inside
    @property
    def _n_features_out(self) -> int:
        return self.n_components_

    @property
    def _fitted_on(self) -> Literal["array", "frame"]:
        spec = self.preprocessor_.spec
        return "frame" if getattr(spec, "container", "numpy") != "numpy" else "array"

    def _infer(self, X: Any, question: Question) -> np.ndarray:
        """Ask the module about rows, in the precision of the input."""
        data = read_input(self, X, reset=False, fitted_on=self._fitted_on)
        cells = encode(self.preprocessor_, data)
        module = module_for(self.module_, self.engine, cells.values.dtype)
        answers: np.ndarray = ask(module, cells, question).numpy()
        return answers

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "module_")

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.three_d_array = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags

    def _fitted_state(self) -> dict[str, Any]:
        if not hasattr(self, "module_"):
            return {}
        state = {name: getattr(self, name) for name in _SAVED if hasattr(self, name)}
        weights = {name: w.numpy() for name, w in self.module_.state_dict().items()}
        return {**state, "history_": self.history_.to_dict(), "weights": weights}

    def _restore(self, state: dict[str, Any]) -> None:
        self._check_parameters()
        check_state(state, {"n_features_in_": int, "n_components_": int, "interrupted_": bool})
        weights = state.pop("weights")
        self.history_ = History.from_dict(state.pop("history_"))
        for name, value in state.items():
            setattr(self, name, value)
        self._next_seed = read_seed(self.random_state)
        with seeded(0):
            self.module_ = self._build_module(torch.zeros(self.preprocessor_.layout.width))
        self.module_.load_state_dict({name: torch.from_numpy(w) for name, w in weights.items()})
        self.module_.eval()


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Seed torch for a while; the caller's random state is as before afterwards.

    Torch has one random state for all threads, so that only one of them may draw from it at once.
    """
    with _ONE_AT_A_TIME, torch.random.fork_rng(devices=list(range(torch.cuda.device_count()))):
        torch.manual_seed(seed)
        yield
