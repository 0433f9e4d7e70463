"""Image stacks <-> the encoded float array (n, channels, height, width)."""

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
#: Ends of what is encoded of a normal pixel: what lies beyond is hot or dead.
_NORMAL_ENDS = (-FAR, 1 + FAR)
#: Pixels so near to an end of the range used are at it; from such a share on, images are line art.
_END, _LINE_ART = 0.02, 0.5


@dataclass(frozen=True, eq=False)
class ImagePreprocessor:
    """Scale pixels to [0, 1] by the range that they use, and bring them back.

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
    def fit(
        cls,
        stack: np.ndarray | Sequence[np.ndarray],
        likelihood: LikelihoodChoice = "auto",
        *,
        narrow: bool = True,
    ) -> ImagePreprocessor:
        """Choose axes and range by some images.

        Parameters
        ----------
        stack : ndarray of shape (n, h, w), (n, h, w, c) or (n, c, h, w), or a sequence of them
            Whole numbers span the bit depth that they need (0 to 255, say), floats within [0, 1]
            that range, other floats the range seen. Pixels far from all others do not count; where
            less than a quarter of the range is used, it is the part that is used.
        likelihood : {"auto", "gaussian", "bernoulli", ...}, default="auto"
            Of the pixels; "auto" is "bernoulli".
        narrow : bool, default=True
            False scales by the whole range, however little of it is used, so that pixels brighter
            than all of these keep their distance from them.

        Returns
        -------
        ImagePreprocessor
            Ready to encode.
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
        # Where all pixels are the same, an answer can be nothing else.
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
        """Return True where most pixels lie at an end of the range that they use.

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
        """Least and greatest encoded pixel that the likelihood permits."""
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
            Unused; tables need it.
        rounding : {"nearest", "free"}, default="nearest"
            "free" returns expected pixels as floats, in the range of ``fit`` but not held to it.

        Returns
        -------
        ndarray
            A stack like that of ``fit``.
        """
        images = self.in_order(values)
        if rounding == "free":
            return self._free(images)
        if self.likelihood != "gaussian" or self.spec.support == (self.spec.low, self.spec.high):
            images = np.clip(images, 0, 1)
        return self._typed(np.clip(self._unscaled(images), *self.spec.support))

    def normal(self, values: np.ndarray) -> np.ndarray:
        """Return encoded pixels of which hot and dead ones are as near as noise takes others.

        Parameters
        ----------
        values : ndarray
            Encoded pixels that are not bounded.

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
        """Return pixels that were rebuilt from those given, which may lie beyond the range.

        Hot and dead pixels are returned as they were given. Where white is not known, an answer
        may be as bright as the pixel given.

        Parameters
        ----------
        values : ndarray of shape (n, channels * height * width)
            Expected pixels.
        given : ndarray of shape (n, channels, height, width)
            The images before, as ``encode`` returned them without bounds.
        rounding : {"nearest", "free"}, default="nearest"
            As in ``decode``.

        Returns
        -------
        ndarray
            A stack like that of ``fit``.
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
        """Return decoded images on the scale and in the axes of others.

        Parameters
        ----------
        images : ndarray
            What ``decode`` returned.
        stack : ndarray
            Images of any type and axes that ``encode`` takes.

        Returns
        -------
        ndarray
            As many images, in the axes of ``stack``.
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
        """Return the raw expectation of pixels, neither clipped nor rounded."""
        dtype = np.dtype(self.spec.dtype)
        pixels = self._unscaled(images)
        return pixels.astype(np.float64 if dtype.kind in "iub" else dtype, copy=False)

    def _typed(self, images: np.ndarray) -> np.ndarray:
        """Return pixels in the type of ``fit``, whole where they were."""
        dtype = np.dtype(self.spec.dtype)
        if dtype.kind == "b":
            return np.asarray(images >= 0.5)
        if dtype.kind in "iu":
            return rounded(images, dtype)
        typed: np.ndarray = np.rint(images) if self.spec.is_whole else images
        return typed.astype(dtype, copy=False)

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


def _white(dtype: np.dtype[Any], natural: tuple[float, float]) -> float:
    """Return the value of white where the type and the range show it, else 0."""
    if dtype.kind == "u":
        return natural[1] if natural == (0, float(np.iinfo(dtype).max)) else 0.0
    return 1.0 if dtype.kind in "bf" and natural == (0, 1) else 0.0


def _warn_of_unlike_channels(stack: np.ndarray) -> None:
    ranges = unlike_channels(stack) if stack.dtype.kind == "f" else ""
    if ranges:
        warn(
            f"Channels have ranges as unlike as {ranges}; all are scaled by one range, as pixels "
            "are. Scale them yourself, or flatten windows to a table."
        )


def _words(shape: tuple[int, int, int]) -> str:
    return f"{shape[1]} x {shape[2]} pixels with {shape[0]} channel{'s' * (shape[0] > 1)}"
