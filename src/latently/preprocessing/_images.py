"""Image stacks <-> the encoded float array (n, channels, height, width)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from latently._layout import Block, Layout, LikelihoodChoice, LikelihoodName
from latently._notices import warn
from latently.exceptions import DataError
from latently.preprocessing._consistency import check_images
from latently.schema import ImageAxes, ImageSpec, Rounding, rounded

_CHANNEL_COUNTS = (1, 2, 3, 4)


@dataclass(frozen=True, eq=False)
class ImagePreprocessor:
    """Scale pixels to [0, 1] by the range of their type, and bring them back.

    Parameters
    ----------
    spec : ImageSpec
        The stack as ``fit`` saw it.
    likelihood : {"gaussian", "bernoulli", ...}
        Of every pixel.
    bounded : bool, default=True
        False leaves pixels beyond the range as they are, as noise takes them there.
    """

    spec: ImageSpec
    likelihood: LikelihoodName
    bounded: bool = True

    def check_consistent(self) -> None:
        """Raise DataError if the parts do not belong together, as those of a file may not."""
        check_images(self.spec)

    def sized_like(self, stack: np.ndarray) -> ImagePreprocessor:
        """Return the same for images of another size, of as many channels.

        Parameters
        ----------
        stack : ndarray
            Images, axes in any order that is understood.

        Returns
        -------
        ImagePreprocessor
            Same range, axes and type.

        Raises
        ------
        DataError
            If the images have other channels.
        """
        shape = _shape(stack, _axes(stack))
        if shape[0] != self.spec.shape[0]:
            raise DataError(
                f"Images have {shape[0]} channels, but fit saw {self.spec.shape[0]}. Give images "
                "with the channels of fit."
            )
        return self.of_size(*shape[1:])

    def of_size(self, height: int, width: int) -> ImagePreprocessor:
        """Return the same for images of another size.

        Parameters
        ----------
        height, width : int
            Pixels.

        Returns
        -------
        ImagePreprocessor
            Same channels, range, axes and type.
        """
        return replace(self, spec=replace(self.spec, shape=(self.spec.shape[0], height, width)))

    @classmethod
    def fit(cls, stack: np.ndarray, likelihood: LikelihoodChoice = "auto") -> ImagePreprocessor:
        """Look at a stack of images and choose axes and range.

        Parameters
        ----------
        stack : ndarray of shape (n, h, w), (n, h, w, c) or (n, c, h, w)
            Whole numbers span the bit depth seen (0 to 255, say); floats [0, 1] where they lie in
            it, else the range seen.
        likelihood : {"auto", "gaussian", "bernoulli", ...}, default="auto"
            Of the pixels; "auto" is "bernoulli".

        Returns
        -------
        ImagePreprocessor
            Ready to encode.
        """
        axes = _axes(stack)
        if likelihood == "discretized_logistic" and stack.dtype.kind not in "iu":
            raise DataError(
                'likelihood="discretized_logistic" needs images of whole numbers, got '
                f'{stack.dtype}. Use "gaussian" or "continuous_bernoulli".'
            )
        spec = ImageSpec(axes, _shape(stack, axes), str(stack.dtype), *_range(stack))
        return cls(spec, "bernoulli" if likelihood == "auto" else likelihood)

    def extended(self, values: np.ndarray, observed: np.ndarray | None) -> ImagePreprocessor:
        """Return the same: the range of the pixels is that of their type."""
        return self

    @property
    def layout(self) -> Layout:
        """One column a pixel and channel."""
        n_pixels = int(np.prod(self.spec.shape))
        step = 1 / (self.spec.high - self.spec.low)
        return Layout(self.spec.shape, (Block(self.likelihood, 1, n_pixels),), step)

    @property
    def order(self) -> np.ndarray:
        """Pixels stay in their order: channel by channel, row by row."""
        return np.arange(self.layout.n_columns)

    @property
    def column_names(self) -> tuple[str, ...]:
        """``c0_y3_x5``: channel, row and column of each pixel."""
        channels, height, width = self.spec.shape
        return tuple(
            f"c{c}_y{y}_x{x}" for c in range(channels) for y in range(height) for x in range(width)
        )

    def encode(
        self, stack: np.ndarray, *, fitting: bool = False
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """Return pixels in [0, 1] and which of them were seen.

        Parameters
        ----------
        stack : ndarray
            Images of the size of ``fit``, axes in any order that is understood.
        fitting : bool, default=False
            Unused; tables need it.

        Returns
        -------
        values : ndarray of shape (n, channels, height, width)
            float64 for float64 images, else float32. Zero where a pixel is missing.
        observed : ndarray of bool, shape (n, n_pixels), or None
            None where no pixel is missing.

        Raises
        ------
        DataError
            If the images have another size.
        """
        images = self._channels_first(stack)
        dtype: Any = np.float64 if images.dtype == np.float64 else np.float32
        span = self.spec.high - self.spec.low
        values: np.ndarray = np.divide(images.astype(dtype) - self.spec.low, span, dtype=dtype)
        observed = ~np.isnan(values)
        all_seen = bool(observed.all())
        if not all_seen:
            values[~observed] = 0.0
        if self.bounded:
            self._clip(values)
        return np.ascontiguousarray(values), None if all_seen else observed.reshape(len(values), -1)

    def _clip(self, values: np.ndarray) -> None:
        n_outside = int(((values < 0) | (values > 1)).sum())
        if n_outside:
            warn(
                f"{n_outside:,} pixels lie outside the range seen in fit, {self.spec.low:g} to "
                f"{self.spec.high:g}; they are clipped to it."
            )
            np.clip(values, 0.0, 1.0, out=values)

    def decode(
        self, values: np.ndarray, like: Any = None, *, rounding: Rounding = "nearest"
    ) -> np.ndarray:
        """Return pixels in the user's axes, range and type.

        Parameters
        ----------
        values : ndarray of shape (n, channels * height * width)
            Expected pixels.
        like : None
            Unused; tables need it.
        rounding : {"nearest", "free"}, default="nearest"
            "free" returns expected pixels as floats, in the range of ``fit`` but not held to it.

        Returns
        -------
        ndarray
            A stack like that of ``fit``.
        """
        dtype = np.dtype(self.spec.dtype)
        images = self.in_order(values)
        images = images if rounding == "free" else np.clip(images, 0, 1)
        images = images * (self.spec.high - self.spec.low) + self.spec.low
        if rounding == "free":
            return images.astype(np.float64 if dtype.kind in "iub" else dtype, copy=False)
        return rounded(images, dtype) if dtype.kind in "iu" else images.astype(dtype, copy=False)

    def in_order(self, per_pixel: np.ndarray) -> np.ndarray:
        """Return (n, n_pixels) numbers in the axes of the user's images.

        Parameters
        ----------
        per_pixel : ndarray of shape (n, channels * height * width)
            One number a pixel.

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


def _range(stack: np.ndarray) -> tuple[float, float]:
    if stack.dtype.kind in "iu":
        # The bit depth seen: 255 for most images, 4,095 for 12-bit ones kept in 16 bits.
        n_bits = max(int(stack.max()).bit_length(), int(stack.min()).bit_length(), 1)
        return 0.0 if stack.min() >= 0 else -float(2**n_bits), float(2**n_bits - 1)
    low, high = float(np.nanmin(stack)), float(np.nanmax(stack))
    if low >= 0 and high <= 1:
        return 0.0, 1.0
    return low, high if high > low else low + 1.0


def _words(shape: tuple[int, int, int]) -> str:
    return f"{shape[1]} x {shape[2]} pixels with {shape[0]} channel{'s' * (shape[0] > 1)}"
