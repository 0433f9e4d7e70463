"""Pixels are shares of the range seen; axes and types come back."""

from dataclasses import replace

import numpy as np
import pytest

from latently.exceptions import DataError
from latently.preprocessing import ImagePreprocessor
from latently.schema import factor_to, pixel_range, why_no_images
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


def dim(scale, offset=0.0, dtype="float64"):
    """Return 4,000 pixels that fill a part of the range."""
    return (
        np.rint(stack(40, 10, 10) * scale + offset).astype(dtype)
        if dtype[0] != "f"
        else (stack(40, 10, 10) * scale + offset).astype(dtype)
    )


@pytest.mark.parametrize(
    ("images", "scaled"),
    [
        (dim(1.0), (0, 1)),
        (dim(0.3), (0, 1)),
        (dim(1 / 64), (0, 1.0625 / 64)),
        (dim(1 / 64, 0.5), (0.5 - 0.0625 / 64, 0.5 + 1.0625 / 64)),
        (dim(255, dtype="uint8"), (0, 255)),
        (dim(15, dtype="uint8"), (0, 15)),
        (dim(10, 200, dtype="uint8"), (199, 211)),
        (dim(100, 5_000, dtype="uint16"), (4_993, 5_107)),
        (dim(400, dtype="uint16"), (0, 511)),
        (dim(200, -100, dtype="int16"), (-128, 127)),
    ],
)
def test_the_range_is_the_part_that_is_used_where_it_is_small(images, scaled):
    assert pixel_range([images]).scaled == pytest.approx(scaled)


@pytest.mark.parametrize(
    ("images", "hot", "scaled"),
    [
        (dim(400, dtype="uint16"), 65_535, (0, 511)),
        (dim(20, dtype="uint8"), 255, (0, 31)),
        (dim(0.02), 1.0, (0, 0.02125)),
        (dim(400.0), 1e6, (0, 400)),
        (dim(100, 5_000, dtype="uint16"), 0, (4_993, 5_107)),
    ],
)
@pytest.mark.parametrize("where", [np.s_[1, 0, 0], np.s_[::4, 3, 3], np.s_[:20, 5, 5]], ids=str)
def test_hot_and_dead_pixels_do_not_decide_on_the_range(images, hot, scaled, where):
    spoiled = images.copy()
    spoiled[where] = hot
    assert pixel_range([spoiled]).scaled == pytest.approx(scaled, rel=1e-3)


def test_the_range_does_not_depend_on_the_order_of_images_nor_on_how_they_are_stacked():
    images = dim(400, dtype="uint16")
    images[3, 3, 3] = 65_535
    whole = pixel_range([images])
    assert pixel_range([images[::-1]]) == whole
    assert pixel_range([images[:7], images[7:]]) == whole


def test_few_lit_pixels_on_black_are_no_hot_ones():
    images = np.zeros((20, 20, 20), dtype="uint8")
    images[::3, 4, 4] = 255
    assert pixel_range([images]).scaled == (0, 255)


@pytest.mark.parametrize(
    ("images", "taken"),
    [
        (stack(9, 4, 5, dtype="uint8"), True),
        (stack(9, 4, 5, dtype="uint32"), True),
        (stack(9, 4, 5) > 0.5, True),
        (stack(9, 4, 5), True),
        (stack(9, 4, 5, dtype="float16"), True),
        (np.where(stack(9, 4, 5) < 0.1, np.nan, stack(9, 4, 5)), True),
        (np.full((9, 4, 5), np.nan), True),
        (np.rint(16 * stack(9, 4, 5)), True),
        (np.rint(255 * stack(9, 4, 5)).astype("int64"), True),
        (np.rint(255 * stack(9, 4, 5, 3)).astype("int64"), True),
        (255 * stack(9, 4, 5), False),
        (stack(9, 4, 5) - 0.5, False),
        (np.rint(256 * stack(9, 4, 5)), False),
        (np.rint(255 * stack(9, 4, 5)) - 1, False),
        (np.rint(stack(9, 24, 3) * [2, 50, 255]), False),
        (np.rint(stack(9, 3, 24) * np.reshape([2, 50, 255], (3, 1))), False),
    ],
)
def test_type_and_values_show_what_is_an_image(images, taken):
    assert (why_no_images(images) == "") == taken


def test_a_pixel_of_a_normal_likelihood_is_not_clipped_unless_it_is_hot():
    images = dim(400.0)
    preprocessor = replace(ImagePreprocessor.fit(images), likelihood="gaussian")
    values, _ = preprocessor.encode(images + 100)
    assert values.max() == pytest.approx(1.25)


def test_a_file_of_the_first_version_shows_its_white_by_its_range():
    spec = ImagePreprocessor.fit(stack(9, 4, 5, dtype="uint8")).spec
    old = replace(spec, least=None, most=None, known_white=None)
    assert old.support == (0, 255) and old.white == 255
    assert factor_to(old, stack(9, 4, 5)) == 255
