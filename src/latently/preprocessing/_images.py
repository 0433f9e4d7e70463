"""Encoding of image stacks as float arrays of shape (n, channels, height, width), and back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from latently._layout import Block, Layout, LikelihoodChoice, LikelihoodName
from latently._notices import warn
from latently.exceptions import DataError
from latently.preprocessing._consistency import check_images
from latently.schema import (
    FAR,
    ImageAxes,
    ImageSpec,
    Rounding,
    factor_to,
    is_whole,
    pixel_range,
    rounded,
    unlike_channels,
)

_CHANNEL_COUNTS = (1, 2, 3, 4)
#: Range of encoded normal pixels. Pixels beyond it are hot or dead.
_NORMAL_ENDS = (-FAR, 1 + FAR)
#: Distance from an end of the used range, as a share of it, within which a pixel counts as black or
#: white, and the share of such pixels from which on images are line art.
_END, _LINE_ART = 0.02, 0.5


@dataclass(frozen=True, eq=False)
class ImagePreprocessor:
    """Scale pixels to [0, 1] by the range that they use, and back.

    Parameters
    ----------
    spec : ImageSpec
        Record of the stack in ``fit``.
    likelihood : {"gaussian", "bernoulli", ...}
        Likelihood of every pixel.
    bounded : bool, default=True
        If False, pixels beyond the range are not clipped, as noise can cause them.
    """

    spec: ImageSpec
    likelihood: LikelihoodName
    bounded: bool = True

    def check_consistent(self) -> None:
        """Raise DataError if the parts are inconsistent, as in a damaged model file."""
        check_images(self.spec)

    def sized_like(self, stack: np.ndarray) -> ImagePreprocessor:
        """Return a preprocessor for images of another size and the same number of channels.

        Parameters
        ----------
        stack : ndarray of shape (n, h, w), (n, h, w, c) or (n, c, h, w)
            Images.

        Returns
        -------
        ImagePreprocessor
            A preprocessor with the same range, axes and type.

        Raises
        ------
        DataError
            If the images have another number of channels.
        """
        shape = _shape(stack, _axes(stack))
        if shape[0] != self.spec.shape[0]:
            raise DataError(
                f"Images have {shape[0]} channels, but fit saw {self.spec.shape[0]}. Give images "
                "with the channels of fit."
            )
        return self.of_size(*shape[1:])

    def of_size(self, height: int, width: int) -> ImagePreprocessor:
        """Return a preprocessor for images of another size.

        Parameters
        ----------
        height, width : int
            Size in pixels.

        Returns
        -------
        ImagePreprocessor
            A preprocessor with the same channels, range, axes and type.
        """
        return replace(self, spec=replace(self.spec, shape=(self.spec.shape[0], height, width)))

    @classmethod
    def fit(
        cls,
        stack: np.ndarray | Sequence[np.ndarray],
        likelihood: LikelihoodChoice = "auto",
        *,
        narrow: bool = True,
    ) -> ImagePreprocessor:
        """Return a preprocessor with the axes and the range of some images.

        Integers are scaled by the range of their bit depth, such as 0 to 255. Floats within [0, 1]
        are scaled by that range, and other floats by the observed range. If less than a quarter of
        the range is used, the used part with a margin replaces it. Hot and dead pixels are ignored.

        Parameters
        ----------
        stack : ndarray of shape (n, h, w), (n, h, w, c) or (n, c, h, w), or a sequence of them
            Images of one type.
        likelihood : {"auto", "gaussian", "bernoulli", ...}, default="auto"
            Likelihood of the pixels. "auto" is "bernoulli".
        narrow : bool, default=True
            If False, always scale by the whole range, which keeps brighter unseen pixels within it.

        Returns
        -------
        ImagePreprocessor
            The fitted preprocessor.
        """
        stacks = [stack] if isinstance(stack, np.ndarray) else stack
        first = stacks[0]
        axes, dtype = _axes(first), first.dtype
        if likelihood == "discretized_logistic" and dtype.kind not in "iu":
            raise DataError(
                'likelihood="discretized_logistic" needs images of whole numbers, got '
                f'{dtype}. Use "gaussian" or "continuous_bernoulli".'
            )
        for one in stacks:
            _warn_of_unlike_channels(one)
        found = pixel_range(stacks)
        # If all pixels are equal, every output is that value.
        support = found.used if found.used[0] == found.used[1] else found.natural
        spec = ImageSpec(
            axes, _shape(first, axes), str(dtype),
            *(found.scaled if narrow else found.natural), *support,
            _white(dtype, found.natural),
            dtype.kind == "f" and found.used[1] > 1 and all(map(is_whole, stacks)),
        )  # fmt: skip
        return cls(spec, "bernoulli" if likelihood == "auto" else likelihood)

    @staticmethod
    def is_line_art(stacks: Sequence[np.ndarray]) -> bool:
        """Return True if most pixels are near an end of the used range.

        Parameters
        ----------
        stacks : sequence of ndarray
            Images.

        Returns
        -------
        bool
            False for photographs.
        """
        low, high = pixel_range(stacks).used
        near = _END * (high - low)
        ends = [np.mean((stack <= low + near) | (stack >= high - near)) for stack in stacks]
        return float(np.mean(ends)) > _LINE_ART

    def extended(self, values: np.ndarray, observed: np.ndarray | None) -> ImagePreprocessor:
        """Return this preprocessor. Further images do not change its range."""
        return self

    @property
    def layout(self) -> Layout:
        """Layout with one column per pixel and channel."""
        n_pixels = int(np.prod(self.spec.shape))
        step = 1 / (self.spec.high - self.spec.low)
        return Layout(self.spec.shape, (Block(self.likelihood, 1, n_pixels),), step)

    @property
    def order(self) -> np.ndarray:
        """Order of the encoded columns: by channel, row and column of the image."""
        return np.arange(self.layout.n_columns)

    @property
    def column_names(self) -> tuple[str, ...]:
        """Names such as ``c0_y3_x5``, with channel, row and column of each pixel."""
        channels, height, width = self.spec.shape
        return tuple(
            f"c{c}_y{y}_x{x}" for c in range(channels) for y in range(height) for x in range(width)
        )

    def encode(
        self, stack: np.ndarray, *, fitting: bool = False
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """Return scaled pixels and the mask of observed ones.

        Parameters
        ----------
        stack : ndarray of shape (n, h, w), (n, h, w, c) or (n, c, h, w)
            Images of the size of ``fit``.
        fitting : bool, default=False
            Not used, present for the protocol of preprocessors.

        Returns
        -------
        values : ndarray of shape (n, channels, height, width)
            float64 for float64 images, or else float32. Missing pixels are zero.
        observed : ndarray of bool, shape (n, n_pixels), or None
            True for observed pixels. None if no pixel is missing.

        Raises
        ------
        DataError
            If the images have another size.
        """
        images = self._channels_first(stack)
        dtype: Any = np.float64 if images.dtype == np.float64 else np.float32
        factor = factor_to(self.spec, stack)
        values: np.ndarray = images.astype(dtype)
        if factor != 1:
            values *= factor
        values -= self.spec.low
        values /= self.spec.high - self.spec.low
        observed = ~np.isnan(values)
        all_seen = bool(observed.all())
        if not all_seen:
            values[~observed] = 0.0
        if self.bounded:
            self._clip(values)
        return np.ascontiguousarray(values), None if all_seen else observed.reshape(len(values), -1)

    def _clip(self, values: np.ndarray) -> None:
        low, high = self._ends
        n_outside = int(((values < low) | (values > high)).sum())
        if n_outside:
            far = "far " if high > 1 else ""
            warn(
                f"{n_outside:,} pixels lie {far}outside the range seen in fit, {self.spec.low:g} "
                f"to {self.spec.high:g}; they are clipped to it."
            )
            np.clip(values, low, high, out=values)

    @property
    def _ends(self) -> tuple[float, float]:
        """Least and greatest encoded pixel that the likelihood allows."""
        return _NORMAL_ENDS if self.likelihood == "gaussian" else (0.0, 1.0)

    def decode(
        self, values: np.ndarray, like: Any = None, *, rounding: Rounding = "nearest"
    ) -> np.ndarray:
        """Return pixels in the user's axes, range and type.

        Parameters
        ----------
        values : ndarray of shape (n, channels * height * width)
            Expected pixels.
        like : None
            Not used, present for the protocol of preprocessors.
        rounding : {"nearest", "free"}, default="nearest"
            "free" returns expected pixels as floats on the scale of ``fit``, not clipped.

        Returns
        -------
        ndarray
            Images in the axes and type of ``fit``.
        """
        images = self.in_order(values)
        if rounding == "free":
            return self._free(images)
        if self.likelihood != "gaussian" or self.spec.support == (self.spec.low, self.spec.high):
            images = np.clip(images, 0, 1)
        return self._typed(np.clip(self._unscaled(images), *self.spec.support))

    def normal(self, values: np.ndarray) -> np.ndarray:
        """Return encoded pixels with hot and dead pixels clipped to the range of normal ones.

        Parameters
        ----------
        values : ndarray
            Encoded pixels without bounds.

        Returns
        -------
        ndarray
            Of the same shape.
        """
        clipped: np.ndarray = np.clip(values, *_NORMAL_ENDS)
        return clipped

    def decode_beside(
        self, values: np.ndarray, given: np.ndarray, *, rounding: Rounding = "nearest"
    ) -> np.ndarray:
        """Return reconstructed pixels, given their inputs, which may be beyond the range.

        Hot and dead pixels are returned unchanged. If white is unknown, an output may be as
        bright as its input.

        Parameters
        ----------
        values : ndarray of shape (n, channels * height * width)
            Expected pixels.
        given : ndarray of shape (n, channels, height, width)
            The input images, as ``encode`` returned them without bounds.
        rounding : {"nearest", "free"}, default="nearest"
            As in ``decode``.

        Returns
        -------
        ndarray
            Images in the axes and type of ``fit``.
        """
        if rounding == "free":
            return self._free(self.in_order(values))
        far = self.normal(given) != given
        least, most = self.spec.support
        images, before = (self._unscaled(self.in_order(one)) for one in (values, given))
        if self.spec.white:
            images = np.clip(images, least, most)
        else:
            images = np.clip(images, np.minimum(least, before), np.maximum(most, before))
        return self._typed(np.where(self.in_order(far), before, images) if far.any() else images)

    def as_given(self, images: np.ndarray, stack: np.ndarray) -> np.ndarray:
        """Return decoded images on the scale and in the axes of another stack.

        Parameters
        ----------
        images : ndarray
            Images from ``decode``.
        stack : ndarray
            Images of any type and axes that ``encode`` accepts.

        Returns
        -------
        ndarray
            The images in the axes of ``stack``.
        """
        factor, axes = factor_to(self.spec, stack), _axes(stack)
        if axes != self.spec.axes:
            first = self._channels_first(images)
            images = replace(self, spec=replace(self.spec, axes=axes)).in_order(first)
        return images if factor == 1 else images / factor

    def _unscaled(self, values: np.ndarray) -> np.ndarray:
        pixels: np.ndarray = values * (self.spec.high - self.spec.low) + self.spec.low
        return pixels

    def _free(self, images: np.ndarray) -> np.ndarray:
        """Return expected pixels, neither clipped nor rounded."""
        dtype = np.dtype(self.spec.dtype)
        pixels = self._unscaled(images)
        return pixels.astype(np.float64 if dtype.kind in "iub" else dtype, copy=False)

    def _typed(self, images: np.ndarray) -> np.ndarray:
        """Return pixels in the type of ``fit``, rounded if ``fit`` saw whole numbers."""
        dtype = np.dtype(self.spec.dtype)
        if dtype.kind == "b":
            return np.asarray(images >= 0.5)
        if dtype.kind in "iu":
            return rounded(images, dtype)
        typed: np.ndarray = np.rint(images) if self.spec.is_whole else images
        return typed.astype(dtype, copy=False)

    def in_order(self, per_pixel: np.ndarray) -> np.ndarray:
        """Return one number per pixel in the axes of the user's images.

        Parameters
        ----------
        per_pixel : ndarray of shape (n, channels * height * width)
            Numbers in encoded order.

        Returns
        -------
        ndarray of shape (n, h, w), (n, h, w, c) or (n, c, h, w)
            The same numbers.
        """
        images = per_pixel.reshape(len(per_pixel), *self.spec.shape)
        if self.spec.axes == "hw":
            return images[:, 0]
        return np.moveaxis(images, 1, -1) if self.spec.axes == "hwc" else images

    def _channels_first(self, stack: np.ndarray) -> np.ndarray:
        axes = _axes(stack)
        if _shape(stack, axes) != self.spec.shape:
            raise DataError(
                f"Images are {_words(_shape(stack, axes))}, but fit saw "
                f"{_words(self.spec.shape)}. Resize them to the size of fit."
            )
        if axes == "hw":
            return stack[:, None]
        return np.moveaxis(stack, -1, 1) if axes == "hwc" else stack


def _axes(stack: np.ndarray) -> ImageAxes:
    if stack.ndim == 3:
        return "hw"
    if stack.shape[3] in _CHANNEL_COUNTS:
        return "hwc"
    if stack.shape[1] in _CHANNEL_COUNTS:
        return "chw"
    raise DataError(
        f"Images of shape {stack.shape[1:]} have no axis of 1 to 4 channels. Give "
        "(n, height, width, channels) or (n, channels, height, width)."
    )


def _shape(stack: np.ndarray, axes: ImageAxes) -> tuple[int, int, int]:
    if axes == "hw":
        return 1, stack.shape[1], stack.shape[2]
    if axes == "hwc":
        return stack.shape[3], stack.shape[1], stack.shape[2]
    return stack.shape[1], stack.shape[2], stack.shape[3]


def _white(dtype: np.dtype[Any], natural: tuple[float, float]) -> float:
    """Return the value of white if type and range determine it, or else 0."""
    if dtype.kind == "u":
        return natural[1] if natural == (0, float(np.iinfo(dtype).max)) else 0.0
    return 1.0 if dtype.kind in "bf" and natural == (0, 1) else 0.0


def _warn_of_unlike_channels(stack: np.ndarray) -> None:
    ranges = unlike_channels(stack) if stack.dtype.kind == "f" else ""
    if ranges:
        warn(
            f"Channels have ranges as unlike as {ranges}; all are scaled by one range, as pixels "
            "are. Scale them first, or flatten windows to a table."
        )


def _words(shape: tuple[int, int, int]) -> str:
    return f"{shape[1]} x {shape[2]} pixels with {shape[0]} channel{'s' * (shape[0] > 1)}"
