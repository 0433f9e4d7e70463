"""The spine that all autoencoders share."""

from __future__ import annotations

import copy
import math
from abc import ABC
from collections.abc import Iterator
from dataclasses import KW_ONLY, dataclass
from numbers import Integral, Real
from pathlib import Path
from typing import Any, ClassVar, Literal, NamedTuple, Self

import narwhals as nw
import numpy as np
import torch
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from torch import Tensor

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
from latently.estimators._baselines import (
    Baselines,
    Spectrum,
    fit_spectrum,
    observed_mean,
    pca_error,
    squared_error,
)
from latently.estimators._saving import SaveMixin
from latently.estimators._split import Split, repeated_rows, split_rows, take_rows
from latently.exceptions import DataError, TrainingWarning
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
from latently.preprocessing import (
    ImagePreprocessor,
    LikelihoodChoice,
    Preprocessor,
    TablePreprocessor,
    canonical_order,
)
from latently.training import (
    Engine,
    History,
    LocalEngine,
    ProgressBar,
    TrainingData,
    TrainingOptions,
    resolve_engine,
    train,
)
from latently.training._data import n_batches

#: Share of the variance that ``n_components="auto"`` keeps.
_AUTO_SHARE = 0.9
_AUTO_MAX_COMPONENTS = 64
#: Elements of encoded rows that inference works on at once.
_INFERENCE_ELEMENTS = 1 << 20
#: Training rows that the prior of a plain code is fitted to.
_PRIOR_ROWS = 10_000


class _Prepared(NamedTuple):
    """Encoded training rows, ready for the loop."""

    inputs: Cells
    target: Cells | None
    weight: Tensor | None


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
        check_parameters(self._parameter_constraints, self.get_params(deep=False), type(self).__name__)
        data = read_input(self, X, reset=True, min_rows=MIN_ROWS)
        paired = None if target is None else self._read_target(target, data)
        weights = read_weights(sample_weight, X, len(data))
        seed = read_seed(self.random_state)
        data, paired, weights = _in_canonical_order(data, paired, weights)
        self.preprocessor_ = _make_preprocessor(data if paired is None else paired, self.likelihood)
        prepared = self._prepare(data, paired, weights)
        split = split_rows(len(data), self.validation_fraction, seed)
        with torch.random.fork_rng(devices=_cuda_devices()):
            torch.manual_seed(seed)
            self._learn(prepared, split, seed)
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
        check_parameters(self._parameter_constraints, self.get_params(deep=False), type(self).__name__)
        first = not hasattr(self, "module_")
        data = read_input(self, X, reset=first, fitted_on=None if first else self._fitted_on)
        weights = read_weights(sample_weight, X, len(data))
        seed = read_seed(self.random_state) if first else self._next_seed
        if first:
            self.preprocessor_ = _make_preprocessor(data, self.likelihood)
        prepared = self._prepare(data, None, weights)
        with torch.random.fork_rng(devices=_cuda_devices()):
            torch.manual_seed(seed)
            if first:
                self._start(prepared.inputs)
            self._pass_over(prepared, seed)
        self._next_seed = seed + 1
        return self

    def _read_target(self, target: Any, data: Input) -> Input:
        paired = read_input(copy.copy(self), target, reset=True, min_rows=MIN_ROWS)
        if tuple(np.shape(paired)) != tuple(np.shape(data)) or type(paired) is not type(data):
            raise DataError(
                f"The target must match X row by row and column by column, got shape "
                f"{np.shape(paired)} for X of shape {np.shape(data)}."
            )
        return paired

    def _prepare(self, data: Input, paired: Input | None, weights: np.ndarray | None) -> _Prepared:
        """Encode rows as float32 tensors; weights get mean one."""
        inputs = _as_cells(*self._encode(data, fitting=True), dtype=torch.float32)
        target = None
        if paired is not None:
            target = _as_cells(*self._encode(paired, fitting=True), dtype=torch.float32)
        weight = None
        if weights is not None:
            weight = torch.as_tensor(weights / weights.mean(), dtype=torch.float32)
        return _Prepared(inputs, target, weight)

    def _learn(self, prepared: _Prepared, split: Split, seed: int) -> None:
        everything = TrainingData(*prepared)
        train_data = everything.select(split.train)
        valid_data = everything.select(split.valid) if len(split.valid) else None
        shown = train_data.take(slice(None)).target
        spectrum = self._start(shown)
        engine = resolve_engine(self.engine)
        trained = engine.launch(
            lambda: train(
                engine,
                self.module_,
                train_data,
                valid_data,
                self._training_options(train_data.n_rows, seed),
                [ProgressBar(type(self).__name__)] if self.verbose else [],
                corruption=self._make_corruption(),
            )
        )
        self.module_.load_state_dict(trained.weights)
        self.module_.to("cpu").eval()
        self.history_ = trained.history
        self.interrupted_ = trained.history.stopped == "interrupted"
        self._optimizer_state: dict[str, Any] | None = None
        with torch.no_grad():
            self.module_.latent.fit_prior(self.module_.hidden(train_data.inputs.take(slice(_PRIOR_ROWS))))
        self.baselines_ = self._compare(spectrum, train_data, valid_data)
        self._report()

    def _start(self, cells: Cells) -> Spectrum:
        """Choose the number of components and build the untrained module."""
        layout = self.preprocessor_.layout
        expand = Likelihood(layout, torch.zeros(layout.width))
        seen = None if cells.observed is None else expand.spread(cells.observed)
        mean = observed_mean(cells, seen)
        filled = cells.values.flatten(1) if seen is None else torch.where(seen, cells.values, mean)
        spectrum = fit_spectrum(Cells(filled), mean)
        self.n_components_ = self._count_components(spectrum)
        self.module_ = self._build_module(mean)
        return spectrum

    def _count_components(self, spectrum: Spectrum) -> int:
        if self.n_components != "auto":
            return int(self.n_components)
        return self._auto_components(spectrum)

    @staticmethod
    def _auto_components(spectrum: Spectrum) -> int:
        return min(spectrum.n_components_for(_AUTO_SHARE), _AUTO_MAX_COMPONENTS)

    def _build_module(self, mean: Tensor) -> AutoencoderModule:
        layout = self.preprocessor_.layout
        latent = self._make_latent(self.n_components_)
        n_hidden = latent.parameters_per_component * self.n_components_
        encoder, decoder = self._make_network().build(
            layout.shape, n_hidden, self.n_components_, layout.width
        )
        likelihood = Likelihood(layout, mean_offset(layout, mean), self._learn_scale)
        return AutoencoderModule(encoder, latent, decoder, likelihood, mean)

    def _pass_over(self, prepared: _Prepared, seed: int) -> None:
        data = TrainingData(*prepared)
        batch_size = self._batch_size(data.n_rows)
        options = TrainingOptions(
            n_steps=n_batches(data.n_rows, batch_size),
            batch_size=batch_size,
            learning_rate=self.learning_rate,
            weight_decay=self.weight_decay,
            seed=seed,
            decay=False,
            steps_per_evaluation=n_batches(data.n_rows, batch_size),
            gradient_clip=self.gradient_clip,
        )
        engine = resolve_engine(self.engine)
        trained = train(
            engine,
            self.module_,
            data,
            None,
            options,
            optimizer_state=getattr(self, "_optimizer_state", None),
            corruption=self._make_corruption(),
        )
        self.module_.load_state_dict(trained.weights)
        self.module_.to("cpu").eval()
        with torch.no_grad():
            self.module_.latent.fit_prior(self.module_.hidden(data.inputs.take(slice(_PRIOR_ROWS))))
        self._optimizer_state = trained.optimizer_state
        self.history_ = trained.history
        self.interrupted_ = trained.history.stopped == "interrupted"

    def _batch_size(self, n_rows: int) -> int:
        """About twenty batches a pass on small data, larger ones where rows are plenty."""
        if self.batch_size != "auto":
            return int(self.batch_size)
        if n_rows >= 1_000_000:
            return 1024
        if n_rows >= 100_000:
            return 256
        return min(max(2 ** math.floor(math.log2(max(n_rows / 20, 1))), 16), 128)

    def _training_options(self, n_rows: int, seed: int) -> TrainingOptions:
        batch_size = self._batch_size(n_rows)
        per_epoch = n_batches(n_rows, batch_size)
        if self.max_epochs == "auto":
            # Counted in steps, so that 100 rows and 1,000,000 rows both train sensibly.
            n_steps = min(max(100 * per_epoch, 2_000), 10_000)
        else:
            n_steps = int(self.max_epochs) * per_epoch
        return TrainingOptions(
            n_steps=n_steps,
            batch_size=batch_size,
            learning_rate=self.learning_rate,
            weight_decay=self.weight_decay,
            seed=seed,
            patience=self.patience,
            steps_per_evaluation=max(1, math.ceil(n_steps / 50)),
            gradient_clip=self.gradient_clip,
        )

    @torch.no_grad()
    def _compare(
        self, spectrum: Spectrum, train_data: TrainingData, valid_data: TrainingData | None
    ) -> Baselines:
        judged = train_data if valid_data is None else valid_data
        cells = judged.take(slice(None)).target
        seen = None
        if cells.observed is not None:
            seen = self.module_.likelihood.spread(cells.observed)
        values = cells.values.flatten(1)
        filled = values if seen is None else torch.where(seen, values, spectrum.mean)
        rebuilt = torch.cat([self.module_.reconstruct(chunk) for chunk in self._chunks(judged.inputs)])
        n_components = min(self.module_.latent.n_active, len(spectrum.components))
        return Baselines(
            mean=squared_error(values, spectrum.mean.expand_as(values), seen),
            pca=pca_error(spectrum, filled, seen, n_components),
            autoencoder=squared_error(values, rebuilt, seen),
            n_components=n_components,
            n_rows=judged.n_rows,
            rows="training" if valid_data is None else "validation",
        )

    def _report(self) -> None:
        if self.interrupted_:
            _warn(
                f"Training was interrupted at step {self._last_step():,}; the weights of step "
                f"{self.history_.best_step:,} were kept."
            )
        for event in self.history_.events:
            _warn(event[0].upper() + event[1:] + ".")

    def _last_step(self) -> int:
        return int(self.history_["step"][-1]) if len(self.history_) else 0

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
            float32 for float32 rows, else float64.

        Raises
        ------
        DataError
            If the rows cannot be used.
        """
        check_fitted(self)
        return self._infer(X, lambda module, cells: module.encode(cells).value)

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
        return self.preprocessor_.decode(self._decode(codes), like=_frame_like(X))

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
        values = self._infer(X, lambda module, cells: module.reconstruct(cells).flatten(1))
        return self.preprocessor_.decode(values, _container(X), like=_frame_like(X))

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
            errors = self._infer(X, lambda module, cells: module.cell_errors(cells))
            return self._in_column_order(errors)
        return self._infer(X, _row_errors)

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
            {"n_samples": [Interval(Integral, 1, None, closed="left")], "random_state": ["random_state"]},
            {"n_samples": n_samples, "random_state": random_state},
            f"{type(self).__name__}.sample",
        )
        with torch.random.fork_rng(devices=[]), torch.no_grad():
            torch.manual_seed(read_seed(random_state))
            parameters = self.module_.decode(self.module_.latent.draw(n_samples))
            noisy = self._learn_scale and isinstance(self.preprocessor_, TablePreprocessor)
            likelihood = self.module_.likelihood
            values = likelihood.draw(parameters) if noisy else likelihood.mean(parameters)
        return self.preprocessor_.decode(values.double().numpy())

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
            f"trained for {self._last_step():,} steps ({self.history_.stopped}), "
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

    def _encode(self, data: Input, *, fitting: bool = False) -> tuple[np.ndarray, np.ndarray | None]:
        is_images = isinstance(data, np.ndarray) and data.ndim > 2
        if isinstance(self.preprocessor_, ImagePreprocessor):
            if not is_images or not isinstance(data, np.ndarray):
                raise DataError(
                    f"fit saw images, got rows of shape {np.shape(data)}. Give an image stack."
                )
            return self.preprocessor_.encode(data, fitting=fitting)
        if is_images:
            raise DataError("fit saw a table, got a stack of images. Give rows of that table.")
        return self.preprocessor_.encode(data, fitting=fitting)

    def _chunks(self, cells: Cells) -> Iterator[Cells]:
        rows = min(max(_INFERENCE_ELEMENTS // self.preprocessor_.layout.width, 16), 4096)
        for start in range(0, len(cells.values), rows):
            yield cells.take(slice(start, start + rows))

    @torch.no_grad()
    def _infer(self, X: Any, answer: Any) -> np.ndarray:
        """Ask the module about rows, in the precision of the input, chunk by chunk."""
        data = read_input(self, X, reset=False, fitted_on=self._fitted_on)
        cells = _as_cells(*self._encode(data))
        module = self._module_for(cells.values.dtype)
        device = module.center.device
        chunks = [
            answer(module, Cells(*(None if t is None else t.to(device) for t in chunk)))
            for chunk in self._chunks(cells)
        ]
        answers: np.ndarray = torch.cat(chunks).cpu().numpy()
        return answers

    def _module_for(self, dtype: torch.dtype) -> AutoencoderModule:
        """Return the module in the precision asked for, on the engine's device."""
        engine = resolve_engine(self.engine)
        device = engine.torch_device if isinstance(engine, LocalEngine) else torch.device("cpu")
        if dtype == torch.float32 and device.type == "cpu":
            return self.module_
        return copy.deepcopy(self.module_).to(device=device, dtype=dtype)

    @torch.no_grad()
    def _decode(self, codes: np.ndarray) -> np.ndarray:
        samples = torch.from_numpy(np.array(codes, dtype=codes.dtype if codes.dtype == np.float32 else np.float64))
        module = self._module_for(samples.dtype)
        parts = [
            module.likelihood.mean(module.decode(chunk.values.to(module.center.device)))
            for chunk in self._chunks(Cells(samples))
        ]
        values: np.ndarray = torch.cat(parts).cpu().numpy()
        return values

    def _in_column_order(self, errors: np.ndarray) -> np.ndarray:
        if isinstance(self.preprocessor_, ImagePreprocessor):
            return self.preprocessor_.in_axes(errors)
        ordered = np.empty_like(errors)
        ordered[:, self.preprocessor_.order] = errors
        return ordered

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
        names = ("n_features_in_", "feature_names_in_", "n_components_", "preprocessor_",
                 "baselines_", "interrupted_")  # fmt: skip
        state = {name: getattr(self, name) for name in names if hasattr(self, name)}
        weights = {name: w.numpy() for name, w in self.module_.state_dict().items()}
        return {**state, "history_": self.history_.to_dict(), "weights": weights}

    def _restore(self, state: dict[str, Any]) -> None:
        weights = state.pop("weights")
        self.history_ = History.from_dict(state.pop("history_"))
        for name, value in state.items():
            setattr(self, name, value)
        with torch.random.fork_rng(devices=[]):
            self.module_ = self._build_module(torch.zeros(self.preprocessor_.layout.width))
        self.module_.load_state_dict({name: torch.from_numpy(w) for name, w in weights.items()})
        self.module_.eval()


def _row_errors(module: AutoencoderModule, cells: Cells) -> Tensor:
    errors = module.cell_errors(cells)
    if cells.observed is None:
        return errors.mean(1)
    return errors.sum(1) / cells.observed.sum(1).clamp(min=1)


def _in_canonical_order(
    data: Input, paired: Input | None, weights: np.ndarray | None
) -> tuple[Input, Input | None, np.ndarray | None]:
    """Sort rows by content; whole-number weights become repeated rows."""
    order = canonical_order(data)
    if weights is not None:
        order, weights = repeated_rows(order, weights)
    return take_rows(data, order), None if paired is None else take_rows(paired, order), weights


def _make_preprocessor(data: Input, likelihood: LikelihoodChoice) -> Preprocessor:
    if isinstance(data, np.ndarray) and data.ndim > 2:
        return ImagePreprocessor.fit(data, likelihood)
    return TablePreprocessor.fit(data, likelihood)


def _as_cells(
    values: np.ndarray, observed: np.ndarray | None, dtype: torch.dtype | None = None
) -> Cells:
    tensor = torch.from_numpy(np.require(values, requirements=["C", "W"])).to(dtype or None)
    return Cells(tensor, None if observed is None else torch.from_numpy(np.require(observed, requirements=["C", "W"])))


def _container(X: Any) -> Any:
    if not nw.dependencies.is_into_dataframe(X):
        return None
    implementation = nw.from_native(X, eager_only=True).implementation
    return str(implementation) if str(implementation) in ("polars", "pyarrow") else "pandas"


def _frame_like(X: Any) -> Any:
    return X if nw.dependencies.is_pandas_dataframe(X) else None


def _cuda_devices() -> list[int]:
    return list(range(torch.cuda.device_count()))


def _warn(message: str) -> None:
    import warnings

    warnings.warn(message, TrainingWarning, stacklevel=4)
