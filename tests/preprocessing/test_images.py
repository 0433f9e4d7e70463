"""Pixels are shares of the range seen; axes and types come back."""

import numpy as np
import pytest

from latently.exceptions import DataError
from latently.preprocessing import ImagePreprocessor
from tests.contract.samples import same, stack


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int32", "float32", "float64"])
@pytest.mark.parametrize(
    "shape", [(9, 4, 5), (9, 4, 5, 3), (9, 3, 4, 5), (9, 4, 5, 1), (9, 1, 1)], ids=str
)
def test_images_come_back_as_they_were(shape, dtype):
    images = stack(*shape, dtype=dtype)
    preprocessor = ImagePreprocessor.fit(images)
    values, observed = preprocessor.encode(images)
    decoded = preprocessor.decode(values.reshape(len(images), -1).astype("float64"))
    assert observed is None
    assert decoded.dtype == images.dtype
    np.testing.assert_allclose(
        decoded.astype(float),
        images.astype(float),
        rtol=1e-6,
        atol=1e-6 if dtype[0] == "f" else 150 * (dtype == "int32"),
    )
    assert values.min() >= 0 and values.max() <= 1
    assert preprocessor.layout.width == values[0].size == len(preprocessor.column_names)


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_whole_and_real_pixels_of_the_same_brightness_are_encoded_the_same(dtype):
    whole = stack(9, 4, 5, dtype=dtype)
    real = whole / np.iinfo(dtype).max
    of_whole = ImagePreprocessor.fit(whole).encode(whole)[0]
    np.testing.assert_allclose(of_whole, ImagePreprocessor.fit(real).encode(real)[0], atol=1e-6)


@pytest.mark.parametrize(
    ("top", "high"), [(255, 255), (200, 255), (4_000, 4_095), (65_535, 65_535), (1, 1), (0, 1)]
)
def test_whole_pixels_span_the_bit_depth_seen(top, high):
    images = np.full((3, 2, 2), top, dtype="uint16")
    preprocessor = ImagePreprocessor.fit(images)
    assert (preprocessor.spec.low, preprocessor.spec.high) == (0, high)


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0.0, 1.0, (0, 1)),
        (0.2, 0.8, (0, 1)),
        (-1.0, 1.0, (-1, 1)),
        (0.0, 255.0, (0, 255)),
        (5.0, 5.0, (5, 6)),
    ],
)
def test_real_pixels_span_one_or_the_range_seen(low, high, expected):
    preprocessor = ImagePreprocessor.fit(np.array([[[low]], [[high]]]))
    assert (preprocessor.spec.low, preprocessor.spec.high) == expected


def test_negative_whole_pixels_are_kept_apart():
    images = np.array([[[-5, 0]], [[5, 10]]], dtype="int16")
    preprocessor = ImagePreprocessor.fit(images)
    values, _ = preprocessor.encode(images)
    assert same(preprocessor.decode(values.reshape(2, -1).astype("float64")), images)


def test_missing_pixels_are_marked_where_they_are():
    images = stack(9, 4, 5, 3)
    images[2, 1, 3, 0] = np.nan
    values, observed = ImagePreprocessor.fit(images).encode(images)
    assert (~observed).sum() == 1
    assert not observed.reshape(9, 3, 4, 5)[2, 0, 1, 3]
    assert np.isfinite(values).all()


def test_an_ambiguous_stack_has_its_channels_last():
    assert ImagePreprocessor.fit(stack(5, 3, 4, 3)).spec.shape == (3, 3, 4)


def test_images_without_an_axis_of_channels_are_refused():
    with pytest.raises(DataError, match="no axis of 1 to 4 channels"):
        ImagePreprocessor.fit(stack(5, 6, 7, 8))
