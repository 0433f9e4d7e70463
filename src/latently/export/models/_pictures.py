"""Images as the input of a graph, and their encoding and decoding."""

from __future__ import annotations

import numpy as np

from latently.export._columns import Encoded
from latently.export._graph import Graph, Value
from latently.preprocessing import ImagePreprocessor
from latently.schema import FAR

#: Name of the input.
IMAGES = "images"


def encode_images(
    graph: Graph, preprocessor: ImagePreprocessor, *, any_size: bool = False
) -> Encoded:
    """Add the input of images, and scale their pixels.

    Parameters
    ----------
    graph : Graph
        The graph.
    preprocessor : ImagePreprocessor
        Of a fitted model.
    any_size : bool, default=False
        True if height and width may vary.

    Returns
    -------
    Encoded
        Images of shape (n_rows, channels, height, width).
    """
    spec, dtype = preprocessor.spec, np.dtype(preprocessor.spec.dtype)
    given = graph.add_input(IMAGES, dtype, ["rows", *_shape(preprocessor, any_size)])
    precise = np.float64 if dtype == np.float64 else np.float32
    images = _channels_first(preprocessor, given.cast(precise))
    values = (images - spec.low) / (spec.high - spec.low)
    observed = None
    if dtype.kind == "f":
        missing = values.is_nan()
        values = graph.where(missing, np.zeros((1, 1, 1, 1), precise), values)
        observed = ~missing
    if preprocessor.bounded:
        low, high = (-FAR, 1 + FAR) if preprocessor.likelihood == "gaussian" else (0.0, 1.0)
        values = values.maximum(low).minimum(high)
    if observed is not None:
        observed = graph.apply("Flatten", observed, axis=1)
    return Encoded(values, observed)


def decode_images(preprocessor: ImagePreprocessor, values: Value) -> Value:
    """Return expected pixels in the axes, range and type of ``fit``.

    Parameters
    ----------
    preprocessor : ImagePreprocessor
        Of a fitted model.
    values : Value of shape (n_rows, channels, height, width)
        Expected pixels.
    """
    spec, dtype = preprocessor.spec, np.dtype(preprocessor.spec.dtype)
    is_bounded = preprocessor.likelihood != "gaussian" or spec.support == (spec.low, spec.high)
    if is_bounded:
        values = values.maximum(0.0).minimum(1.0)
    pixels = values * (spec.high - spec.low) + spec.low
    least, most = spec.support
    pixels = pixels.maximum(least).minimum(most)
    if dtype.kind == "b":
        pixels = pixels >= 0.5
    elif dtype.kind in "iu" or spec.is_whole:
        pixels = pixels.round()
    return _in_axes(preprocessor, pixels).cast(dtype)


def output_shape(preprocessor: ImagePreprocessor, *, any_size: bool = False) -> list[int | str]:
    """Return the lengths of the axes of images in the user's axes, after the first."""
    return _shape(preprocessor, any_size)


def _shape(preprocessor: ImagePreprocessor, any_size: bool) -> list[int | str]:
    channels, height, width = preprocessor.spec.shape
    size: list[int | str] = ["height", "width"] if any_size else [height, width]
    return {"hw": size, "hwc": [*size, channels], "chw": [channels, *size]}[preprocessor.spec.axes]


def _channels_first(preprocessor: ImagePreprocessor, images: Value) -> Value:
    if preprocessor.spec.axes == "hw":
        return images.expanded(1)
    return images.transposed(0, 3, 1, 2) if preprocessor.spec.axes == "hwc" else images


def _in_axes(preprocessor: ImagePreprocessor, images: Value) -> Value:
    if preprocessor.spec.axes == "hw":
        return images.graph.apply("Squeeze", images, np.array([1]))
    return images.transposed(0, 2, 3, 1) if preprocessor.spec.axes == "hwc" else images
