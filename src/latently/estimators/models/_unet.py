"""``UNetAutoencoder``, which denoises, sharpens and enlarges images of any size."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from numbers import Integral, Real
from pathlib import Path
from typing import Any, ClassVar, Literal, Self, TypeVar, cast

import numpy as np
import torch
from numpy.typing import ArrayLike

from latently._sklearn import HasMethods, Interval, StrOptions, plain_number
from latently._validation import (
    KIND_CONSTRAINT,
    ArrayKind,
    check_fitted,
    check_images,
    is_target,
    read_input,
)
from latently.estimators._base import BaseAutoencoder
from latently.estimators._inference import Question, ask, cell_errors, module_for, reconstruction_of
from latently.estimators._protocol import (
    AutoencoderTags,
    Fitted,
    SupportName,
    fitted_of,
    rounding_of,
)
from latently.estimators._seeding import seeded
from latently.estimators.fit._effort import EFFORT_CONSTRAINT, Effort, scaled
from latently.estimators.fit._patches import cut_patches
from latently.estimators.fit._prepare import (
    LIMIT_CONSTRAINTS,
    check_module_memory,
    chunk_options,
    deadline,
    in_canonical_order,
)
from latently.estimators.fit._run_loop import run_loop
from latently.estimators.models._common_docs import document
from latently.exceptions import DataError, ParameterError
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

#: "auto" number of steps for line art and for photographs, and the pixels of one batch.
_STEPS = {"bernoulli": 1_600, "gaussian": 7_200}
_PIXELS = 25_000


@document
@dataclass(kw_only=True, eq=False, repr=False)
class UNetAutoencoder(BaseAutoencoder):
    """U-net that denoises, sharpens and enlarges images of any size [2]_.

    It is trained on patches with added noise, or on pairs of noisy and clean images. Skip
    connections pass the image itself to the decoder, so that fine lines are preserved. For
    photographs the network predicts the noise, which is subtracted from the noisy image [3]_, and
    minimises absolute errors [5]_. For line art it predicts the probability that a pixel is on.

    Parameters
    ----------
    corruption : callable or None, default=None
        Corruption of the inputs, applied in training only. None uses normal noise with a standard
        deviation of up to half the range, drawn for each patch, so that the noise level need not
        be known. With ``enlarge`` above 1, None uses ``Downsampling``. With targets, None
        applies no corruption. Must be None in blind training.
    channels : tuple of int, default=(16, 32, 64)
        Number of feature maps at full, half, quarter size and so on. More levels have a larger
        receptive field and cost more time.
    likelihood : {"auto", "gaussian", "bernoulli"}, default="auto"
        Likelihood of the pixels. "auto" takes "bernoulli" if most pixels are at an end of their
        range, as in line art and digits, and "gaussian" otherwise.
    kind : {"auto", "images"}, default="images"
        "images" takes every array of three or four axes as images. "auto" takes only those whose
        type and values are typical of images, as in the other autoencoders.
    patch_size : int, default=64
        Height and width of the patches into which larger images are cut for training.
    enlarge : int, default=1
        Factor by which height and width grow, at most 16. With a factor above 1 the model is
        trained on downsampled images.
    augment : bool or "auto", default="auto"
        If True, patches are rotated, mirrored and recoloured in training. "auto" does so for
        photographs, but not for line art, where a rotated 6 is a 9.
    blind : bool, default=False
        If True, train on noisy images alone: pixels are hidden and predicted from the pixels
        around them [4]_. The noise must then be independent between pixels.
    max_epochs : int or "auto", default="auto"
        Number of passes over the patches. "auto" takes 1,600 steps for line art and 7,200 for
        photographs.
    batch_size : int or "auto", default="auto"
        Patches per step. "auto" takes 4 to 64, about 25,000 pixels.
    learning_rate : float, default=4e-3
        Maximum learning rate of AdamW [1]_, reached after a warm-up and followed by cosine decay.
    weight_decay : float, default=0.01
        Weight decay of the convolutions.
    gradient_clip : float or None, default=1.0
        Maximum norm of the gradient. None turns clipping off.
    effort : {"fast", "balanced", "thorough"}, default="balanced"
        Multiplier of the "auto" steps: "fast" takes a quarter of them, "thorough" four times as
        many.
    {limits}
    engine : str or Engine, default="auto"
        Where to train: "auto", "cpu", "cuda", "mps", "torchrun", "ray" or an engine, such as
        ``RayEngine(4)``.
    random_state : int, RandomState or None, default=None
        Random state of the initial weights, the patches and the noise.
    verbose : bool, default=False
        If True, show a progress bar on stderr.

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
        True if training was interrupted by Ctrl-C.
    n_features_in_ : int
        Number of pixels times channels of the first image seen in ``fit``.

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
    time_limit: float | None = None
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
        **LIMIT_CONSTRAINTS,
        "engine": [str, HasMethods(ENGINE_METHODS)],
        "random_state": ["random_state"],
        "verbose": ["boolean"],
    }
    _searched: ClassVar[dict[str, Any]] = {
        "channels": [(8, 16), (16, 32), (16, 32, 64), (32, 64, 128)]
    }

    # ------------------------------------------------------------------ fitting
    def fit(self, X: Any, y: Any = None, *, checkpoint: str | Path | None = None) -> Self:
        """Train the network to remove noise that is added in training, or to map X to y.

        Parameters
        ----------
        X : image stack or list of images
            Clean images, or noisy ones in blind training, or, if ``y`` holds targets, degraded
            ones, ``enlarge`` times smaller than these. Images in a list may differ in size.
        y : image stack, list of images, labels or None, default=None
            Images to reconstruct, each for the image of ``X`` at its place. None reconstructs
            ``X``, and labels are ignored.
        checkpoint : str or Path or None, default=None
            Folder in which the training is saved and from which it is resumed. See
            ``checkpointing``.

        Returns
        -------
        self
            The fitted estimator.

        Raises
        ------
        ParameterError
            If a parameter has a wrong value, or ``blind=True`` and ``y`` holds targets.
        DataError
            If the images cannot be used, or do not match those of ``y``.
        DivergenceError
            If training diverged three times.
        """
        with checkpointing(checkpoint):
            if is_target(X, y):
                return self.__latently_fit_pairs__(X, y)
            stacks = self._read_stacks(X, reset=True)
            return self._fit(stacks, stacks, self._noise())

    def __latently_fit_pairs__(self, X: Any, y: Any) -> Self:
        """Train the network to map each image of ``X`` to the image of ``y`` at its place."""
        stacks, targets = self._read_stacks(X, reset=True), self._read_stacks(y, reset=False)
        if self.blind:
            raise ParameterError(
                "blind must be False if there are targets, got True. Fit to the noisy images alone."
            )
        sizes = [[np.shape(stack) for stack in side] for side in (stacks, targets)]
        if len(stacks) != len(targets) or not all(
            _match(noisy, clean, self.enlarge) for noisy, clean in zip(*sizes, strict=True)
        ):
            raise DataError(
                f"y must match X image by image, {self.enlarge} times as large, got "
                f"shapes {sizes[1][:3]} for X of shapes {sizes[0][:3]}."
            )
        return self._fit(stacks, targets, self.corruption)

    def _fit(
        self, stacks: list[np.ndarray], targets: list[np.ndarray], corruption: Corruption | None
    ) -> Self:
        seed = self._draw_seed()
        for stack in targets if self.kind == "auto" else ():
            check_images(stack)
        stacks, targets = _in_canonical_order(stacks, targets)
        self.preprocessor_ = _fit_preprocessor(targets, self.likelihood)
        noisy, clean = self._encoded(stacks, targets)
        with seeded(seed):
            side = plain_number(self.patch_size)
            rows = cut_patches(noisy, clean, side, self._augments)
            # The module is built for patches, so its preprocessor is that of a patch.
            self.preprocessor_ = self._images.of_size(*rows.inputs.values.shape[2:])
            check_module_memory(lambda: self._empty_module({}), self.max_memory)
            self.module_ = self._empty_module({})
            self.n_components_ = self.module_.latent.n_components
            run_loop(self, rows, None, self._options(rows, seed), corruption)
        self._next_seed = seed + 1
        return self

    def partial_fit(self, X: Any, y: Any = None) -> Self:
        """Train for one pass over the next images, at a constant learning rate.

        Parameters
        ----------
        X : image stack or list of images
            Next images, at least as large as the patches of the first call.
        y : None
            Ignored.

        Returns
        -------
        self
            The updated estimator.

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
        corruption = self._noise()
        with seeded(self._next_seed):
            rows = cut_patches(noisy, clean, sides, self._augments)
            options = chunk_options(self._plan(rows), rows.n_rows, self._next_seed)
            run_loop(self, rows, None, options, corruption)
        self._next_seed += 1
        return self

    def _noise(self) -> Corruption | None:
        if self.blind:
            if self.corruption is not None:
                raise ParameterError(
                    f"corruption must be None if blind=True, got {self.corruption!r}. Pass noisy "
                    "images alone to blind training."
                )
            return None
        if self.corruption is not None:
            return self.corruption
        return Downsampling(self.enlarge) if self.enlarge > 1 else GaussianNoise((0.0, 0.5))

    def _read_stacks(self, X: Any, *, reset: bool) -> list[np.ndarray]:
        """Validate images and return stacks, one for all images of one size, else one each."""
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
        self, stacks: list[np.ndarray], targets: list[np.ndarray]
    ) -> tuple[list[Cells], list[Cells]]:
        """Return noisy and clean images as cells, the noisy ones enlarged to the clean size."""
        # Gaussian targets may exceed the range. Those of line art are probabilities.
        target_preprocessor = (
            self._unbounded if self._images.likelihood == "gaussian" else self._images
        )
        clean = [_cells(target_preprocessor, stack) for stack in targets]
        if stacks is targets:
            return clean, clean
        noisy = [_cells(self._unbounded, stack) for stack in stacks]
        return [cells._replace(values=larger(cells.values, self.enlarge)) for cells in noisy], clean

    @property
    def _images(self) -> ImagePreprocessor:
        return cast(ImagePreprocessor, self.preprocessor_)

    @property
    def _unbounded(self) -> ImagePreprocessor:
        """The preprocessor of noisy images, whose pixels may exceed the range."""
        return replace(self._images, bounded=False)

    def _plan(self, rows: TrainingData) -> Self:
        """Return a copy with a batch size chosen by the size of the patches."""
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
            keep_best=False,  # no images are held out
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
        """Denoise images of any size and fill their missing pixels.

        Large images are processed in overlapping tiles, without seams.

        Parameters
        ----------
        X : image stack or list of images
            Images with the channels of ``fit``. Images in a list may differ in size.
        support : {"column", "free"}, default="column"
            "column" returns pixels in the type and range of ``fit``, "free" returns floats.

        Returns
        -------
        ndarray or list of ndarray
            Images of the shape of ``X``, with height and width ``enlarge`` times as large.

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
        reconstruction = ask(module, cells, reconstruction_of).numpy()
        height, width = (self.enlarge * side for side in values.shape[2:])
        images = self._images.of_size(height, width)
        flat = reconstruction.reshape(len(reconstruction), -1)
        if self.enlarge > 1:
            return images.decode(flat, rounding=rounding)
        return images.decode_beside(flat, values, rounding=rounding)

    def reconstruction_error(self, X: Any, *, per_feature: bool = False) -> np.ndarray:
        """Return the reconstruction error of each image or of each pixel.

        Parameters
        ----------
        X : image stack
            Images of any size, with the channels of ``fit``.
        per_feature : bool, default=False
            If True, return the error of each pixel.

        Returns
        -------
        ndarray of shape (n_samples,) or of the images' shape
            Half deviances in nats: the mean over the observed pixels of each image, or the value
            of each pixel.

        Raises
        ------
        DataError
            If the images cannot be used.
        """
        if not per_feature:
            return super().reconstruction_error(X)
        inner = fitted_of(self)
        cells = inner.read(X)
        errors = inner.ask(cells, cell_errors)
        return self._images.of_size(*cells.values.shape[2:]).in_order(errors)

    def inverse_transform(self, X: ArrayLike, *, support: SupportName = "column") -> Any:
        """Raise DataError, because a U-net needs the image itself besides its code.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_components)
            Codes.
        support : {"column", "free"}, default="column"
            As for every autoencoder.

        Raises
        ------
        DataError
            Always.
        """
        raise DataError(
            "A UNetAutoencoder cannot decode a code: its decoder also needs the image. Use "
            "reconstruct, or a ConvolutionalAutoencoder."
        )

    def __latently_fitted__(self) -> Fitted[Self]:
        return _FittedImages(self)

    def __sklearn_tags__(self) -> AutoencoderTags:
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = False
        tags.takes_any_size = tags.is_denoiser = True
        return tags


UNetT = TypeVar("UNetT", bound=UNetAutoencoder)


class _FittedImages(Fitted[UNetT]):
    """Inner protocol of a U-net, which takes images of several sizes."""

    def read(self, X: Any, *, fitting: bool = False) -> Cells:
        stacks = self.model._read_stacks(X, reset=False)
        if len(stacks) > 1:
            raise DataError("The images must have one size, got several. Give images of one size.")
        return _cells(self.model._unbounded, stacks[0])

    def infer(self, X: Any, question: Question) -> np.ndarray:
        stacks, images = self.model._read_stacks(X, reset=False), self.model._unbounded
        return np.concatenate([self.ask(_cells(images, stack), question) for stack in stacks])


def _in_canonical_order(
    stacks: list[np.ndarray], targets: list[np.ndarray]
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Sort the images of a single stack by content, so that their order has no effect on a fit."""
    if len(stacks) > 1:
        return stacks, targets
    target = None if stacks is targets else targets[0]
    rows = in_canonical_order(stacks[0], target, None)
    one = [cast(np.ndarray, rows.data)]
    return one, one if rows.target is None else [cast(np.ndarray, rows.target)]


def _match(noisy: tuple[int, ...], clean: tuple[int, ...], times: int) -> bool:
    """Return True if the second shape is ``times`` the first, or equal to it, in each axis."""
    if len(noisy) != len(clean) or noisy[0] != clean[0]:
        return False
    ratios = {(times * a == b, a == b) for a, b in zip(noisy[1:], clean[1:], strict=True)}
    return all(grown or (same and times > 1) for grown, same in ratios)


def _fit_preprocessor(stacks: list[np.ndarray], likelihood: LikelihoodChoice) -> ImagePreprocessor:
    """Return a preprocessor whose range and likelihood fit all images."""
    found = ImagePreprocessor.fit(stacks, likelihood)
    if likelihood == "auto" and not ImagePreprocessor.is_line_art(stacks):
        return replace(found, likelihood="gaussian")
    return found


def _cells(preprocessor: ImagePreprocessor, stack: np.ndarray) -> Cells:
    """Return images as cells in single precision, with hot and dead pixels clipped."""
    values, observed = _encoded(preprocessor, stack)
    return _as_cells(preprocessor.normal(values), observed)


def _encoded(
    preprocessor: ImagePreprocessor, stack: np.ndarray
) -> tuple[np.ndarray, np.ndarray | None]:
    single = stack.astype(np.float32) if stack.dtype.kind == "f" else stack
    return preprocessor.sized_like(stack).encode(single)


def _as_cells(values: np.ndarray, observed: np.ndarray | None) -> Cells:
    return Cells(torch.from_numpy(values), None if observed is None else torch.from_numpy(observed))
