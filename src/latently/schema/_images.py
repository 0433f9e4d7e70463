"""Recognition of image arrays, the range of their pixels, and conversion between scales."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from latently._notices import warn
from latently.exceptions import DataError
from latently.schema._records import ImageSpec

#: Largest grey level of integers that count as images without a declaration.
_MOST_GREY = 255
#: Share of the pixels at each end that is left out of the range, and the least number of pixels
#: for which it is.
_TRIMMED, _FEWEST = 5e-3, 200
#: Pixels farther from the range of the others than this multiple of it are hot (or dead).
FAR = 3.0
#: Least share of the bit depth, or of [0, 1], that must be used to scale by all of it.
_LEAST_USED = 0.25
#: Margin on each side of a smaller range, as a share of it.
_MARGIN = 1 / 16
#: Number of pixels from which quantiles are computed.
_SAMPLE = 1 << 20
#: Least share of the range of fit that pixels of unknown scale must fill.
_LEAST_FILL = 1 / 16
#: Channels whose ranges differ by this factor do not count as channels of an image.
_UNLIKE = 20.0
_MOST_CHANNELS = 4


class PixelRange(NamedTuple):
    """Ranges of the pixels of some images.

    Attributes
    ----------
    used : tuple of (float, float)
        Lowest and highest pixel, without hot and dead pixels.
    natural : tuple of (float, float)
        Range of the bit depth for integers, [0, 1] for floats within it, or the used range.
    scaled : tuple of (float, float)
        Range that is scaled to [0, 1]. It is the natural range if a quarter of it is used, or else
        the used range with a margin.
    """

    used: tuple[float, float]
    natural: tuple[float, float]
    scaled: tuple[float, float]


def why_no_images(stack: np.ndarray) -> str:
    """Return the reason why an array of three or four axes is no stack of images, or "".

    The following arrays are images:

    - unsigned integers and booleans,
    - numbers within [0, 1],
    - whole numbers from 0 to 255, unless an axis of 2 to 4 channels has unlike ranges.

    Parameters
    ----------
    stack : ndarray
        Finite numbers or NaN, of three or four axes.

    Returns
    -------
    str
        The end of a sentence.
    """
    if stack.dtype.kind in "bu":
        return ""
    low, high = extremes([stack])
    if low < 0 or high > _MOST_GREY or (high > 1 and not is_whole(stack)):
        return f"got {stack.dtype} from {low:g} to {high:g}"
    if high > 1 and unlike_channels(stack):
        return f"got {stack.dtype} with channels of unlike range"
    return ""


def unlike_channels(stack: np.ndarray) -> str:
    """Return the smallest and largest range of channels that differ by a factor of 20, or "".

    Parameters
    ----------
    stack : ndarray
        Numbers of three or four axes. The last or the second axis may be the channels.

    Returns
    -------
    str
        Both ranges in words.
    """
    for axis in (stack.ndim - 1, 1):
        if not 2 <= stack.shape[axis] <= _MOST_CHANNELS:
            continue
        channels = np.moveaxis(stack, axis, 0)
        spans = [high - low for low, high in (extremes([channel]) for channel in channels)]
        varying = [span for span in spans if span > 0]
        if varying and max(varying) > _UNLIKE * min(varying):
            return f"{min(varying):g} and {max(varying):g}"
    return ""


def pixel_range(stacks: Sequence[np.ndarray]) -> PixelRange:
    """Return the ranges of the pixels of some images.

    Parameters
    ----------
    stacks : sequence of ndarray
        Images of one type.

    Returns
    -------
    PixelRange
        Ranges that do not depend on the order of the images.
    """
    low, high = _without_far(stacks, extremes(stacks))
    is_integer = stacks[0].dtype.kind in "iu"
    natural = _bit_depth(low, high) if is_integer else _real_range(low, high)
    if low == high or high - low >= _LEAST_USED * (natural[1] - natural[0]):
        return PixelRange((low, high), natural, natural)
    margin = _MARGIN * (high - low)
    ends = low - margin, high + margin
    if is_integer:
        ends = float(np.floor(ends[0])), float(np.ceil(ends[1]))
    scaled = max(ends[0], natural[0]), min(ends[1], natural[1])
    return PixelRange((low, high), natural, scaled)


def white_of(stack: np.ndarray) -> float:
    """Return the value of white on the scale of some images, or 0 if it is unknown.

    White is 1 for booleans and for floats within [0, 1], and 255 for 8 bits. For wider unsigned
    integers it is their largest value if a pixel uses the highest bit.

    Parameters
    ----------
    stack : ndarray
        Images.

    Returns
    -------
    float
        A value such as 1, 255 or 65,535, or 0.
    """
    if stack.dtype.kind == "b":
        return 1.0
    if stack.dtype.kind == "u":
        top = int(np.iinfo(stack.dtype).max)
        return float(top) if stack.dtype.itemsize == 1 or int(stack.max()) > top // 2 else 0.0
    low, high = extremes([stack])
    return 1.0 if stack.dtype.kind == "f" and low >= 0 and high <= 1 else 0.0


def factor_to(spec: ImageSpec, stack: np.ndarray) -> float:
    """Return the factor that converts pixels to the scale of ``fit``.

    Parameters
    ----------
    spec : ImageSpec
        Record of the images of ``fit``.
    stack : ndarray
        Images of any type.

    Returns
    -------
    float
        The factor, 1 if the images are on the scale of ``fit``.

    Raises
    ------
    DataError
        If type and values do not determine the scale of the images.
    """
    if extremes([stack]) == (0, 0):
        return 1.0  # black is zero on every scale
    if _is_same_type(np.dtype(spec.dtype), stack.dtype):
        factor = 1.0
        _check_floats(spec, stack)
    else:
        factor = _converting(spec, stack)
    if _mostly_beyond(spec, stack, factor):
        raise _of_another_scale(spec, stack)
    return factor


def extremes(stacks: Sequence[np.ndarray]) -> tuple[float, float]:
    """Return the lowest and the highest number without NaN, or zeros if there is none.

    Parameters
    ----------
    stacks : sequence of ndarray
        Numbers of any shape.

    Returns
    -------
    tuple of (float, float)
        Both ends.
    """
    ends = [(float(np.fmin.reduce(one, None)), float(np.fmax.reduce(one, None))) for one in stacks]
    known = [end for end in ends if not np.isnan(end[0])]
    if not known:
        return 0.0, 0.0
    return min(low for low, _ in known), max(high for _, high in known)


def is_whole(stack: np.ndarray) -> bool:
    """Return True if every number is whole. NaN is ignored.

    Parameters
    ----------
    stack : ndarray
        Numbers.

    Returns
    -------
    bool
        True for integers.
    """
    if stack.dtype.kind != "f":
        return True
    n_together = max(_SAMPLE // max(stack[:1].size, 1), 1)
    pieces = (stack[start : start + n_together] for start in range(0, len(stack), n_together))
    return all(bool(((one == np.rint(one)) | np.isnan(one)).all()) for one in pieces)


def _without_far(stacks: Sequence[np.ndarray], seen: tuple[float, float]) -> tuple[float, float]:
    """Return the lowest and the highest pixel that are not hot or dead."""
    sample = _sampled(stacks)
    if len(sample) < _FEWEST:
        return seen
    n_cut = max(int(_TRIMMED * len(sample)), 1)
    places = (n_cut, len(sample) - 1 - n_cut)
    low, high = np.partition(sample, places)[list(places)]
    least, most = low - FAR * (high - low), high + FAR * (high - low)
    if low == high or (seen[0] >= least and seen[1] <= most):
        return seen
    return extremes([one[(one >= least) & (one <= most)] for one in stacks])


def _sampled(stacks: Sequence[np.ndarray]) -> np.ndarray:
    """Return at most about a million observed pixels, drawn with a fixed seed."""
    share = min(_SAMPLE / max(sum(stack.size for stack in stacks), 1), 1.0)
    rng = np.random.default_rng(0)
    parts = [
        stack.ravel() if share == 1 else stack.flat[rng.integers(stack.size, size=int(n) + 1)]
        for stack, n in ((stack, share * stack.size) for stack in stacks)
    ]
    pixels = np.concatenate(parts).astype(np.float64)
    return pixels[~np.isnan(pixels)]


def _bit_depth(low: float, high: float) -> tuple[float, float]:
    """Return the range of the least bit depth, such as 0 to 4,095 for 12 bits stored in 16."""
    n_bits = max(int(high).bit_length(), int(low).bit_length(), 1)
    return 0.0 if low >= 0 else -float(2**n_bits), float(2**n_bits - 1)


def _real_range(low: float, high: float) -> tuple[float, float]:
    if low >= 0 and high <= 1:
        return 0.0, 1.0
    return low, high if high > low else low + 1.0


def _is_same_type(one: np.dtype[np.generic], other: np.dtype[np.generic]) -> bool:
    """Return True for floats of any precision, and for integers of one kind and size."""
    return one.kind == other.kind and (one.kind == "f" or one.itemsize == other.itemsize)


def _check_floats(spec: ImageSpec, stack: np.ndarray) -> None:
    """Raise DataError, or warn, if floats seem to be on another scale than in ``fit``."""
    low, high = extremes([stack])
    span = spec.high - spec.low
    is_unit = low >= 0 and high <= 1
    if spec.white == 1 or stack.dtype.kind != "f" or low == high or is_whole(stack):
        return
    fills = high - low >= _LEAST_FILL * span or span < 1 / _LEAST_FILL
    if spec.is_whole and (is_unit or not fills):
        raise _of_another_scale(spec, stack)
    if fills:
        return
    if is_unit and high >= _LEAST_USED:
        raise _of_another_scale(spec, stack)
    warn(
        f"Images range from {low:g} to {high:g}, but those of fit from {spec.low:g} to "
        f"{spec.high:g}. They are taken for dark images. If they are not, rescale them as in fit."
    )


def _converting(spec: ImageSpec, stack: np.ndarray) -> float:
    """Return the factor from the scale of a stack to the scale of ``fit``, for unlike types."""
    theirs, ours = white_of(stack), spec.white
    low, high = extremes([stack])
    if stack.dtype.kind in "ui" and high <= 1 and ours == 1 and low >= 0:
        if np.dtype(spec.dtype).kind == "b":
            return 1.0
        raise _of_another_scale(spec, stack)  # a mask, or 8 bits that are all but black
    if theirs and ours:
        return ours / theirs
    if _are_the_same_numbers(spec, stack, (low, high)):
        return 1.0
    raise _of_another_scale(spec, stack)


def _are_the_same_numbers(spec: ImageSpec, stack: np.ndarray, ends: tuple[float, float]) -> bool:
    """Return True if the values are the grey levels of ``fit`` in another type."""
    fitted, span = np.dtype(spec.dtype), spec.high - spec.low
    if stack.dtype.kind == "b" or fitted.kind == "b":
        return False
    if ends[0] < spec.low - FAR * span or ends[1] > spec.high + FAR * span:
        return False
    if stack.dtype.kind == "u":
        # The type of unsigned integers determines the number of bits.
        return fitted.kind != "u" and np.min_scalar_type(int(spec.high)) == stack.dtype
    return spec.white != 1 and ends[1] - ends[0] >= _LEAST_FILL * span


def _mostly_beyond(spec: ImageSpec, stack: np.ndarray, factor: float) -> bool:
    """Return True if most pixels above the darkest are far beyond the range of ``fit``."""
    low, high = extremes([stack])
    reach = FAR * (spec.high - spec.low)
    least, most = (spec.low - reach) / factor, (spec.high + reach) / factor
    if spec.white:
        most = max(most, (1 + FAR) * spec.white / factor)
    if low >= least and high <= most:
        return False
    n_beyond = np.count_nonzero((stack < least) | (stack > most))
    n_lit = np.count_nonzero(stack > low)
    return bool(n_beyond > max(n_lit / 2, stack.size / 100))


def _of_another_scale(spec: ImageSpec, stack: np.ndarray) -> DataError:
    low, high = extremes([stack])
    return DataError(
        f"Images must be on the scale of fit, {spec.dtype} from {spec.low:g} to {spec.high:g}, got "
        f"{stack.dtype} from {low:g} to {high:g}. Scale them as in fit, and give them "
        f"as {spec.dtype}."
    )
