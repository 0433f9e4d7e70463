"""The autoencoder that takes noise off images of any size."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from numbers import Integral, Real
from pathlib import Path
from typing import Any, ClassVar, Literal, Self, cast

import numpy as np
import torch
from numpy.typing import ArrayLike

from latently._sklearn import HasMethods, Interval, StrOptions, plain_number
from latently._validation import (
    KIND_CONSTRAINT,
    ArrayKind,
    check_fitted,
    check_images,
    read_input,
)
from latently.estimators._base import BaseAutoencoder, SupportName, rounding_of, seeded
from latently.estimators._common_docs import document
from latently.estimators._effort import EFFORT_CONSTRAINT, Effort, scaled
from latently.estimators._fitting import (
    LIMITS,
    check_module_fits,
    chunk_options,
    deadline,
    in_canonical_order,
)
from latently.estimators._inference import Question, ask, cell_errors, module_for, reconstruction_of
from latently.estimators._patches import cut_patches
from latently.estimators._running import run_loop
from latently.exceptions import DataError
from latently.nn import Cells, Corruption, Downsampling, GaussianNoise, UNetModule, larger
from latently.nn._layers import check_sizes
from latently.preprocessing import ImagePreprocessor, LikelihoodChoice
from latently.schema import Rounding, plain_rows
from latently.training import (
    ENGINE_METHODS,
    Engine,
    TrainingData,
    TrainingOptions,
    checkpointing,
)

#: Steps of "auto" for line art and for photographs, and the pixels that one of them looks at.
_STEPS = {"bernoulli": 1_600, "gaussian": 7_200}
_PIXELS = 25_000


@document
@dataclass(kw_only=True, eq=False, repr=False)
class UNetAutoencoder(BaseAutoencoder):
    """The U-net: takes noise off images of any size, sharpens and enlarges them [2]_.

    It is trained on patches that are made noisy, or on pairs of noisy and clean images, and sees
    the image itself beside its code, so that fine lines survive. Photographs are rebuilt as the
    noisy image less the noise that was found in it [3]_, by absolute errors [5]_, line art by the
    chance of each pixel to be lit.

    Parameters
    ----------
    corruption : callable or None, default=None
        Done to the inputs in training; None takes normal noise of up to half the range, in
        another strength for each patch, so that the strength need not be known; none for pairs
        and in blind training.
    channels : tuple of int, default=(16, 32, 64)
        Feature maps at full size, half, a quarter and so on. More see further and cost more time.
    likelihood : {"auto", "gaussian", "bernoulli"}, default="auto"
        Of the pixels: "auto" takes "bernoulli" where most of them are at an end of their range
        (line art, digits), else "gaussian".
    kind : {"auto", "images"}, default="images"
        "images" takes every array of three or four axes for images; "auto" only one whose type
        and values show that it holds some, as the other autoencoders do.
    patch_size : int, default=64
        Side of the squares that larger images are cut into for training.
    enlarge : int, default=1
        Times that images come back as high and wide, at most 16. Above 1 it learns from full
        images that were made small.
    augment : bool or "auto", default="auto"
        Whether patches are turned, mirrored and recoloured in training; "auto" does so with
        photographs, which are as likely either way, but not with line art: a 6 is no 9.
    blind : bool, default=False
        True learns from noisy images alone: pixels are hidden and told from those around them [4]_.
        Noise must then differ from pixel to pixel.
    max_epochs : int or "auto", default="auto"
        Passes over the patches; "auto" takes 1,600 steps for line art, 7,200 for photographs.
    batch_size : int or "auto", default="auto"
        Patches a step; "auto" takes 4 to 64, about 25,000 pixels.
    learning_rate : float, default=4e-3
        Highest rate of AdamW [1]_, after warm-up and before cosine decay.
    weight_decay : float, default=0.01
        Of convolutions.
    gradient_clip : float or None, default=1.0
        Longest gradient; None clips nothing.
    effort : {"fast", "balanced", "thorough"}, default="balanced"
        How many steps "auto" takes: "fast" a quarter, "thorough" four times as many.
    {limits}
    engine : str or Engine, default="auto"
        Where to train: "auto", "cpu", "cuda", "mps", "torchrun", "ray" or an engine, such as
        ``RayEngine(4)``.
    random_state : int, RandomState or None, default=None
        Seed of the weights, the patches and the noise.
    verbose : bool, default=False
        True shows a progress bar on stderr.

    Attributes
    ----------
    n_components_ : int
        Size of the code: the last of ``channels``.
    history_ : History
        Losses and learning rate at each evaluation.
    module_ : UNetModule
        The trained torch module.
    preprocessor_ : ImagePreprocessor
        Range, type and axes of the images.
    interrupted_ : bool
        True where training was cut short by Ctrl-C.
    n_features_in_ : int
        Pixels times channels of the first image seen in ``fit``.

    References
    ----------
    .. [1] Loshchilov and Hutter (2019), Decoupled Weight Decay Regularization.
    .. [2] Ronneberger, Fischer and Brox (2015), U-Net.
    .. [3] Zhang et al. (2017), Beyond a Gaussian Denoiser.
    .. [4] Krull, Buchholz and Jug (2019), Noise2Void.
    .. [5] Zhao et al. (2017), Loss Functions for Image Restoration with Neural Networks.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> images = load_digits().images[:100]
    >>> model = UNetAutoencoder(max_epochs=1, random_state=0).fit(images)
    >>> model.reconstruct(images[:3]).shape
    (3, 8, 8)
    >>> model.reconstruct(images[:3, :5]).shape
    (3, 5, 8)
    """

    corruption: Corruption | None = None
    channels: tuple[int, ...] = (16, 32, 64)
    likelihood: LikelihoodChoice = "auto"
    kind: ArrayKind = "images"
    patch_size: int = 64
    enlarge: int = 1
    augment: bool | Literal["auto"] = "auto"
    blind: bool = False
    max_epochs: int | Literal["auto"] = "auto"
    batch_size: int | Literal["auto"] = "auto"
    learning_rate: float = 4e-3
    weight_decay: float = 0.01
    gradient_clip: float | None = 1.0
    effort: Effort = "balanced"
    max_seconds: float | None = None
    max_memory: float | None = None
    engine: str | Engine = "auto"
    random_state: int | np.random.RandomState | None = None
    verbose: bool = False

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "corruption": [callable, None],
        "channels": ["array-like"],
        "likelihood": [StrOptions({"auto", "gaussian", "bernoulli"})],
        "kind": KIND_CONSTRAINT,
        "patch_size": [Interval(Integral, 8, None, closed="left")],
        "enlarge": [Interval(Integral, 1, 16, closed="both")],
        "augment": ["boolean", StrOptions({"auto"})],
        "blind": ["boolean"],
        "max_epochs": [Interval(Integral, 1, None, closed="left"), StrOptions({"auto"})],
        "batch_size": [Interval(Integral, 1, None, closed="left"), StrOptions({"auto"})],
        "learning_rate": [Interval(Real, 0, None, closed="neither")],
        "weight_decay": [Interval(Real, 0, None, closed="left")],
        "gradient_clip": [Interval(Real, 0, None, closed="neither"), None],
        "effort": EFFORT_CONSTRAINT,
        **LIMITS,
        "engine": [str, HasMethods(ENGINE_METHODS)],
        "random_state": ["random_state"],
        "verbose": ["boolean"],
    }
    takes_any_size: ClassVar[bool] = True

    @property
    def is_denoiser(self) -> bool:
        """True: noise is what the U-net is trained with."""
        return True

    # ------------------------------------------------------------------ fitting
    def fit(self, X: Any, y: Any = None, *, checkpoint: str | Path | None = None) -> Self:
        """Learn to take off the noise that is put on in training.

        Parameters
        ----------
        X : image stack or list of images
            Clean images, which may differ in size; noisy ones in blind training.
        y : None
            Ignored.
        checkpoint : str or Path or None, default=None
            Folder to save the training to, and to go on from; see ``checkpointing``.

        Returns
        -------
        self
            The fitted estimator.

        Raises
        ------
        ParameterError
            If a parameter has a wrong value.
        DataError
            If the images cannot be used.
        DivergenceError
            If training ran away three times.
        """
        stacks = self._read_stacks(X, reset=True)
        with checkpointing(checkpoint):
            return self._fit(stacks, stacks, None if self.blind else self._noise())

    def fit_pairs(self, X: Any, target: Any, *, checkpoint: str | Path | None = None) -> Self:
        """Learn to turn each image of ``X`` into the same image of ``target``.

        Parameters
        ----------
        X : image stack or list of images
            Noisy, blurred or otherwise worse; ``enlarge`` times smaller than ``target``.
        target : like X
            What is to be rebuilt.
        checkpoint : str or Path or None, default=None
            Folder to save the training to, and to go on from; see ``checkpointing``.

        Returns
        -------
        self
            The fitted estimator.

        Raises
        ------
        DataError
            If the two do not match image by image.
        """
        stacks, goals = self._read_stacks(X, reset=True), self._read_stacks(target, reset=False)
        sizes = [[np.shape(stack) for stack in side] for side in (stacks, goals)]
        if len(stacks) != len(goals) or not all(
            _fits(noisy, clean, self.enlarge) for noisy, clean in zip(*sizes, strict=True)
        ):
            raise DataError(
                f"The target must match X image by image, {self.enlarge} times as large, got "
                f"shapes {sizes[1][:3]} for X of shapes {sizes[0][:3]}."
            )
        with checkpointing(checkpoint):
            return self._fit(stacks, goals, self.corruption)

    def _fit(
        self, stacks: list[np.ndarray], goals: list[np.ndarray], corruption: Corruption | None
    ) -> Self:
        seed = self._draw_seed()
        for stack in goals if self.kind == "auto" else ():
            check_images(stack)
        stacks, goals = _in_canonical_order(stacks, goals)
        self.preprocessor_ = _fit_preprocessor(goals, self.likelihood)
        noisy, clean = self._encoded(stacks, goals)
        with seeded(seed):
            side = plain_number(self.patch_size)
            rows = cut_patches(noisy, clean, side, self._augments)
            # From here on the preprocessor stands for a patch, as the module does.
            self.preprocessor_ = self._images.of_size(*rows.inputs.values.shape[2:])
            check_module_fits(lambda: self._empty_module({}), self.max_memory)
            self.module_ = self._empty_module({})
            self.n_components_ = self.module_.latent.n_components
            run_loop(self, rows, None, self._options(rows, seed), corruption)
        self._next_seed = seed + 1
        return self

    def partial_fit(self, X: Any, y: Any = None) -> Self:
        """Pass once over the next images, at a constant learning rate.

        Parameters
        ----------
        X : image stack or list of images
            The next images, at least as large as the patches of the first call.
        y : None
            Ignored.

        Returns
        -------
        self
            The estimator, a little further.

        Raises
        ------
        DataError
            If the images cannot be used.
        """
        if not hasattr(self, "module_"):
            return self.fit(X)
        stacks = self._read_stacks(X, reset=False)
        noisy, clean = self._encoded(stacks, stacks)
        sides = self._images.spec.shape[1:]
        if any(
            a < b for cells in clean for a, b in zip(cells.values.shape[2:], sides, strict=True)
        ):
            raise DataError(
                f"Images must be at least as large as the patches of fit, {sides[0]} x {sides[1]}. "
                "Leave out smaller ones."
            )
        corruption = None if self.blind else self._noise()
        with seeded(self._next_seed):
            rows = cut_patches(noisy, clean, sides, self._augments)
            options = chunk_options(self._plan(rows), rows.n_rows, self._next_seed)
            run_loop(self, rows, None, options, corruption)
        self._next_seed += 1
        return self

    def _noise(self) -> Corruption:
        if self.corruption is not None:
            return self.corruption
        return Downsampling(self.enlarge) if self.enlarge > 1 else GaussianNoise((0.0, 0.5))

    def _read_stacks(self, X: Any, *, reset: bool) -> list[np.ndarray]:
        """Judge images; those of one size are one stack."""
        if reset:
            self._check_parameters()
            check_sizes("channels", self.channels)
        X = plain_rows(X)
        mixed = isinstance(X, list | tuple) and len({np.shape(image) for image in X}) > 1
        found = []
        for place, images in enumerate([np.asarray(image)[None] for image in X] if mixed else [X]):
            stack = read_input(
                self, images, reset=reset and place == 0, min_rows=1, is_declared=True
            )
            if not isinstance(stack, np.ndarray) or stack.ndim == 2:
                raise DataError(
                    f"UNetAutoencoder takes images, got rows of shape {np.shape(images)}. Give an "
                    "array of shape (n, height, width[, channels]), or use DenoisingAutoencoder."
                )
            found.append(stack)
        return found

    def _encoded(
        self, stacks: list[np.ndarray], goals: list[np.ndarray]
    ) -> tuple[list[Cells], list[Cells]]:
        """Return noisy and clean images of one size, each stack as cells."""
        # Normal pixels may lie beyond the range, those of line art are probabilities.
        goal = self._unbounded if self._images.likelihood == "gaussian" else self._images
        clean = [_cells(goal, stack) for stack in goals]
        if stacks is goals:
            return clean, clean
        noisy = [_cells(self._unbounded, stack) for stack in stacks]
        return [cells._replace(values=larger(cells.values, self.enlarge)) for cells in noisy], clean

    @property
    def _images(self) -> ImagePreprocessor:
        return cast(ImagePreprocessor, self.preprocessor_)

    @property
    def _unbounded(self) -> ImagePreprocessor:
        """What scales noisy images: noise may take pixels beyond their range."""
        return replace(self._images, bounded=False)

    def _plan(self, rows: TrainingData) -> Self:
        """Return this with a batch size that suits the patches."""
        if self.batch_size != "auto":
            return self
        height, width = rows.inputs.values.shape[2:]
        size = min(max(_PIXELS // (height * width), 4), 64)
        return replace(self, batch_size=size)

    def _options(self, rows: TrainingData, seed: int) -> TrainingOptions:
        plan = self._plan(rows)
        size = int(plan.batch_size)
        n_steps = scaled(_STEPS[self._images.likelihood], self.effort)
        if self.max_epochs != "auto":
            n_steps = int(self.max_epochs) * math.ceil(rows.n_rows / size)
        return TrainingOptions(
            n_steps=n_steps,
            batch_size=size,
            learning_rate=self.learning_rate,
            weight_decay=self.weight_decay,
            deadline=deadline(self),
            seed=seed,
            steps_per_evaluation=max(n_steps // 50, 1),
            gradient_clip=self.gradient_clip,
            keep_best=False,  # no images are held out to choose by
        )

    def _empty_module(self, shapes: dict[str, tuple[int, ...]]) -> UNetModule:
        layout = self._images.layout
        channels, enlarge = plain_number(tuple(self.channels)), int(self.enlarge)
        return UNetModule(layout, channels, enlarge, self._augments, bool(self.blind))

    @property
    def _augments(self) -> bool:
        photographs = self._images.likelihood == "gaussian"
        return photographs if self.augment == "auto" else bool(self.augment)

    # ------------------------------------------------------------------ answers
    def reconstruct(self, X: Any, *, support: SupportName = "column") -> Any:
        """Take the noise off images of any size; missing pixels come back filled.

        Large images are worked on in tiles that overlap, without a seam.

        Parameters
        ----------
        X : image stack or list of images
            Of the channels of ``fit``; a list may hold images of several sizes.
        support : {"column", "free"}, default="column"
            "column" answers with pixels of the type and range of ``fit``; "free" with floats.

        Returns
        -------
        ndarray or list of ndarray
            As X, ``enlarge`` times as large, in the type and range of ``fit``.

        Raises
        ------
        DataError
            If the images cannot be used.
        """
        check_fitted(self)
        rounding = rounding_of(support, "reconstruct")
        stacks = self._read_stacks(X, reset=False)
        answers = [self._rebuilt(stack, rounding) for stack in stacks]
        return answers[0] if len(answers) == 1 else [answer[0] for answer in answers]

    def _rebuilt(self, stack: np.ndarray, rounding: Rounding) -> np.ndarray:
        values, observed = _encoded(self._unbounded, stack)
        cells = _as_cells(self._images.normal(values), observed)
        module = module_for(self.module_, self.engine, torch.float32)
        rebuilt = ask(module, cells, reconstruction_of).numpy()
        height, width = (self.enlarge * side for side in values.shape[2:])
        images = self._images.of_size(height, width)
        flat = rebuilt.reshape(len(rebuilt), -1)
        if self.enlarge > 1:
            return images.decode(flat, rounding=rounding)
        return images.decode_beside(flat, values, rounding=rounding)

    def _read(self, X: Any, *, fitting: bool = False) -> Cells:
        stacks = self._read_stacks(X, reset=False)
        if len(stacks) > 1:
            raise DataError(
                "Pixels of several sizes have no common shape. Give images of one size."
            )
        return _cells(self._unbounded, stacks[0])

    def _infer(self, X: Any, question: Question) -> np.ndarray:
        stacks = self._read_stacks(X, reset=False)
        answers = [self._ask(_cells(self._unbounded, stack), question) for stack in stacks]
        return np.concatenate(answers)

    def reconstruction_error(self, X: Any, *, per_feature: bool = False) -> np.ndarray:
        """Return how far each image, or each pixel, is from its reconstruction.

        Parameters
        ----------
        X : image stack
            Of any size, with the channels of ``fit``.
        per_feature : bool, default=False
            True returns the error of each pixel.

        Returns
        -------
        ndarray of shape (n_samples,) or of the images' shape
            Half deviances in nats, mean over the observed pixels; or per pixel.

        Raises
        ------
        DataError
            If the images cannot be used.
        """
        if not per_feature:
            return super().reconstruction_error(X)
        cells = self._read(X)
        errors = self._ask(cells, cell_errors)
        return self._images.of_size(*cells.values.shape[2:]).in_order(errors)

    def inverse_transform(self, X: ArrayLike, *, support: SupportName = "column") -> Any:
        """Refuse: a U-net rebuilds from the image itself, not from a code.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_components)
            Codes.
        support : {"column", "free"}, default="column"
            As of every autoencoder.

        Raises
        ------
        DataError
            Always.
        """
        raise DataError(
            "A UNetAutoencoder cannot decode: it rebuilds from the image beside its code. Use "
            "reconstruct, or a ConvolutionalAutoencoder."
        )

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = False
        return tags


def _in_canonical_order(
    stacks: list[np.ndarray], goals: list[np.ndarray]
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Sort the images of one stack by content, so that a fit does not depend on their order."""
    if len(stacks) > 1:
        return stacks, goals
    target = None if stacks is goals else goals[0]
    rows = in_canonical_order(stacks[0], target, None)
    one = [cast(np.ndarray, rows.data)]
    return one, one if rows.target is None else [cast(np.ndarray, rows.target)]


def _fits(noisy: tuple[int, ...], clean: tuple[int, ...], times: int) -> bool:
    """Return True if one stack is so many times as high and wide as the other."""
    if len(noisy) != len(clean) or noisy[0] != clean[0]:
        return False
    ratios = {(times * a == b, a == b) for a, b in zip(noisy[1:], clean[1:], strict=True)}
    return all(grown or (same and times > 1) for grown, same in ratios)


def _fit_preprocessor(stacks: list[np.ndarray], likelihood: LikelihoodChoice) -> ImagePreprocessor:
    """Choose range and likelihood by all images."""
    found = ImagePreprocessor.fit(stacks, likelihood)
    if likelihood == "auto" and not ImagePreprocessor.is_line_art(stacks):
        return replace(found, likelihood="gaussian")
    return found


def _cells(preprocessor: ImagePreprocessor, stack: np.ndarray) -> Cells:
    """Return images of any size as cells in single precision, without hot and dead pixels."""
    values, observed = _encoded(preprocessor, stack)
    return _as_cells(preprocessor.normal(values), observed)


def _encoded(
    preprocessor: ImagePreprocessor, stack: np.ndarray
) -> tuple[np.ndarray, np.ndarray | None]:
    single = stack.astype(np.float32) if stack.dtype.kind == "f" else stack
    return preprocessor.sized_like(stack).encode(single)


def _as_cells(values: np.ndarray, observed: np.ndarray | None) -> Cells:
    return Cells(torch.from_numpy(values), None if observed is None else torch.from_numpy(observed))
