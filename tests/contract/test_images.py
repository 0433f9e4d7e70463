"""Stacks of images in, the same stacks out: axes, size, type and range."""

import numpy as np
import pytest
from sklearn.base import clone

from latently import (
    AnomalyDetector,
    Autoencoder,
    AutoencoderDenoiser,
    AutoencoderImputer,
    ConvNetwork,
    ConvolutionalAutoencoder,
    DenseNetwork,
    FeatureExtractor,
    Masking,
    VariationalAutoencoder,
)
from latently.exceptions import DataError, DataWarning, ParameterError
from tests.contract.estimators import AUTOENCODERS, OF_IMAGES
from tests.contract.samples import TWINS, matrix, same, stack

QUICK = {"max_epochs": 1, "random_state": 0, "engine": "cpu"}
NETWORKS = [DenseNetwork((8,)), ConvNetwork((4,)), ConvNetwork((2, 4), normalization="layer")]
SHAPES = {"hw": (20, 6, 5), "hwc": (20, 6, 5, 3), "chw": (20, 3, 6, 5), "grey": (20, 6, 5, 1)}


@pytest.mark.parametrize("network", NETWORKS, ids=str)
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
@pytest.mark.parametrize("model", AUTOENCODERS, ids=str)
def test_every_variant_gives_back_the_axes_of_the_images(model, shape, network):
    images = stack(*shape)
    fitted = clone(model).set_params(network=network).fit(images)
    codes = fitted.transform(images)
    assert codes.shape == (20, fitted.n_components_)
    assert fitted.reconstruct(images).shape == shape
    assert fitted.inverse_transform(codes[:2]).shape == (2, *shape[1:])
    assert fitted.sample(3, random_state=0).shape == (3, *shape[1:])
    assert fitted.score_samples(images).shape == (20,)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int32", "float16", "float32", "float64"])
@pytest.mark.parametrize("network", NETWORKS[:2], ids=str)
def test_pixels_come_back_in_their_type_and_range(network, dtype):
    images = stack(20, 5, 5, dtype=dtype)
    rebuilt = Autoencoder(2, network=network, **QUICK).fit(images).reconstruct(images)
    assert rebuilt.dtype == images.dtype
    assert images.min() <= rebuilt.min() and rebuilt.max() <= images.max()


def test_channels_first_and_last_are_the_same_images():
    last = stack(20, 6, 5, 3)
    first = np.moveaxis(last, -1, 1)
    model = ConvolutionalAutoencoder(2, **QUICK).fit(last)
    assert same(model.transform(last), model.transform(first))


@pytest.mark.parametrize("side", [(1, 1), (1, 7), (2, 2), (3, 5), (7, 4), (9, 9), (17, 3)], ids=str)
@pytest.mark.parametrize("network", ["auto", (4,), (4, 8, 8)], ids=str)
def test_any_size_of_image_works_small_and_odd_ones_too(side, network):
    images = stack(20, *side)
    model = ConvolutionalAutoencoder(1, network=ConvNetwork(network), **QUICK).fit(images)
    assert model.reconstruct(images).shape == images.shape
    assert np.isfinite(model.score_samples(images)).all()


@pytest.mark.parametrize("model", OF_IMAGES, ids=str)
def test_a_single_image_is_not_enough_to_learn_from(model):
    with pytest.raises(DataError, match="minimum of 2") as caught:
        clone(model).fit(stack(1, 5, 5))
    assert len(str(caught.value)) <= 300


def test_two_images_are_enough():
    images = stack(2, 5, 5)
    assert ConvolutionalAutoencoder(1, **QUICK).fit(images).reconstruct(images).shape == (2, 5, 5)


@pytest.mark.parametrize("network", NETWORKS, ids=str)
def test_missing_pixels_are_filled_and_cost_nothing(network):
    images = stack(20, 5, 5, 3)
    images[::2, 1, 2, 0] = np.nan
    model = Autoencoder(2, network=network, **QUICK).fit(images)
    errors = model.reconstruction_error(images, per_feature=True)
    assert np.isfinite(model.reconstruct(images)).all()
    assert np.isfinite(model.score_samples(images)).all()
    assert (errors[np.isnan(images)] == 0).all() and (errors >= 0).all()


def test_the_imputer_fills_missing_pixels_and_no_other():
    images = stack(20, 5, 5, dtype="float32")
    images[::2, 1, 2] = np.nan
    filled = AutoencoderImputer(autoencoder=Autoencoder(2, **QUICK)).fit_transform(images)
    seen = ~np.isnan(images)
    assert filled.dtype == images.dtype and np.isfinite(filled).all()
    assert same(filled[seen], images[seen])


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_the_error_of_each_pixel_lies_where_the_pixel_lies(shape):
    images = stack(*shape)
    model = Autoencoder(2, **QUICK).fit(images)
    errors = model.reconstruction_error(images, per_feature=True)
    assert errors.shape == shape
    np.testing.assert_allclose(errors.reshape(20, -1).mean(1), model.reconstruction_error(images))


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_a_spoiled_pixel_shows_at_its_place(shape):
    images = 0.5 + 0.01 * stack(*shape)
    images.flat[:2] = 0, 1
    model = Autoencoder(1, **QUICK).fit(images)
    place = (2, *(1 for _ in shape[2:]))
    place = (0, 3, *place[1:])[:2] + place[1:]
    place = tuple(min(p, n - 1) for p, n in zip(place, shape, strict=True))
    spoiled = images[4:5].copy()
    spoiled[place] = 0.0
    errors = model.reconstruction_error(spoiled, per_feature=True)
    assert np.unravel_index(errors.argmax(), errors.shape) == place


@pytest.mark.parametrize("shape", [(5, 5, 6), (5, 6, 5, 3), (5, 7, 5), (5, 6, 5, 4)], ids=str)
@pytest.mark.parametrize("model", [Autoencoder, ConvolutionalAutoencoder])
def test_images_of_another_size_than_in_fit_are_refused(model, shape):
    fitted = model(2, **QUICK).fit(stack(20, 6, 5))
    for ask in (fitted.transform, fitted.reconstruct, fitted.score_samples):
        with pytest.raises(DataError) as caught:
            ask(stack(*shape))
        assert len(str(caught.value)) <= 300


def test_images_of_as_many_pixels_but_another_shape_are_refused():
    model = Autoencoder(2, **QUICK).fit(stack(20, 6, 5))
    with pytest.raises(DataError, match="5 x 6 pixels"):
        model.transform(stack(5, 5, 6))


def test_images_given_to_a_model_of_tables_are_refused():
    model = Autoencoder(2, **QUICK).fit(matrix(n_columns=30))
    with pytest.raises(DataError, match="fit saw a table"):
        model.transform(stack(5, 6, 5))


def test_a_table_given_to_a_model_of_images_is_refused():
    model = Autoencoder(2, **QUICK).fit(stack(20, 6, 5))
    with pytest.raises(DataError, match="fit saw images"):
        model.transform(matrix(n_columns=30))


@pytest.mark.parametrize(
    "model", [ConvolutionalAutoencoder(2, **QUICK), Autoencoder(2, network=ConvNetwork(), **QUICK)]
)
def test_a_convolutional_network_refuses_a_table(model):
    with pytest.raises(ParameterError, match="needs images"):
        clone(model).fit(matrix())


@pytest.mark.parametrize(
    ("images", "words"),
    [
        (np.zeros((20, 0, 5)), "no pixels"),
        (np.zeros((0, 5, 5)), "0 sample"),
        (np.zeros((20, 5, 6, 7)), "no axis of 1 to 4 channels"),
        (np.zeros((20, 5, 5), dtype=complex), "complex"),
        (np.full((20, 5, 5), "a"), "dtype"),
        (np.zeros((20, 5, 5, 3, 1)), "dim"),
        (np.full((20, 5, 5), np.inf), "infinite"),
    ],
)  # fmt: skip
def test_what_is_no_stack_of_images_is_refused(images, words):
    with pytest.raises(DataError, match=words) as caught:
        ConvolutionalAutoencoder(2, **QUICK).fit(images)
    assert len(str(caught.value)) <= 300


@pytest.mark.parametrize("bad", [np.inf, -np.inf])
def test_an_infinite_pixel_is_refused_and_its_image_named(bad):
    images = stack(20, 5, 5)
    model = Autoencoder(2, **QUICK).fit(images)
    images[7, 1, 1] = bad
    for ask in (model.transform, model.fit):
        with pytest.raises(DataError, match=r"[Ii]mage 7"):
            ask(images)


def test_an_image_without_any_known_pixel_is_scored_without_nan():
    images = stack(20, 5, 5)
    model = Autoencoder(2, **QUICK).fit(images)
    blank = np.full((2, 5, 5), np.nan)
    assert np.isfinite(model.score_samples(blank)).all()
    assert np.isfinite(model.reconstruct(blank)).all()


@pytest.mark.parametrize("value", [0, 128, 255])
def test_images_all_of_one_colour_do_no_harm(value):
    images = np.full((20, 5, 5), value, dtype="uint8")
    model = ConvolutionalAutoencoder(1, **QUICK).fit(images)
    assert np.isfinite(model.score_samples(images)).all()
    assert model.reconstruct(images).dtype == np.uint8


def test_pixels_brighter_than_any_in_fit_are_clipped_and_counted():
    images = stack(20, 5, 5)
    model = Autoencoder(2, **QUICK).fit(images)
    bright = images.copy()
    bright[0, 0, 0] = 2
    with pytest.warns(DataWarning, match="1 pixels lie outside"):
        assert np.isfinite(model.score_samples(bright)).all()


def test_black_and_white_images_of_truths_come_back():
    images = stack(20, 5, 5) > 0.3
    model = ConvolutionalAutoencoder(2, **QUICK).fit(images)
    assert model.reconstruct(images).shape == images.shape
    assert np.isfinite(model.score_samples(images)).all()


def test_the_order_of_the_images_does_not_matter():
    images = stack(30, 5, 5, dtype="uint8")
    turned = images[np.random.default_rng(1).permutation(30)]
    models = [ConvolutionalAutoencoder(2, **QUICK).fit(each) for each in (images, turned)]
    assert same(models[0].transform(images), models[1].transform(images))


@pytest.mark.filterwarnings(TWINS)
def test_an_image_of_weight_two_is_that_image_twice():
    images = stack(30, 5, 5, dtype="uint8")
    weights = np.random.default_rng(0).integers(0, 4, 30)
    weighted = ConvolutionalAutoencoder(2, **QUICK).fit(images, sample_weight=weights)
    repeated = ConvolutionalAutoencoder(2, **QUICK).fit(np.repeat(images, weights, axis=0))
    assert same(weighted.transform(images), repeated.transform(images))


def test_a_list_of_images_is_a_stack():
    images = stack(20, 5, 5)
    model = Autoencoder(2, **QUICK).fit(list(images))
    assert same(model.transform(list(images)), model.transform(images))


def test_network_latent_and_corruption_combine_in_one_line():
    images = stack(40, 8, 8)
    model = VariationalAutoencoder(
        8, network=ConvNetwork((4, 8)), corruption=Masking(0.2), beta=4.0, **QUICK
    )
    assert model.fit(images).transform(images).shape == (40, 8)
    assert model.reconstruct(images).shape == (40, 8, 8)
    assert np.isfinite(model.score_samples(images)).all()


@pytest.mark.parametrize("task", [AnomalyDetector, FeatureExtractor, AutoencoderDenoiser])
def test_tasks_take_images(task):
    images = stack(24, 6, 6, dtype="uint8")
    fitted = task(autoencoder=ConvolutionalAutoencoder(2, **QUICK)).fit(images)
    answer = fitted.predict(images) if task is AnomalyDetector else fitted.transform(images)
    assert len(answer) == 24


def test_real_images_are_rebuilt_better_than_by_their_mean():
    from sklearn.datasets import load_digits

    digits = load_digits().images[:300] / 16
    model = ConvolutionalAutoencoder(
        10, network=ConvNetwork((8, 16)), max_epochs=8, random_state=0, engine="cpu"
    )
    rebuilt = model.fit(digits).reconstruct(digits)
    assert np.square(rebuilt - digits).mean() < 0.5 * digits.var(0).mean()


def test_images_of_several_sizes_are_refused_by_name_of_their_sizes():
    mixed = [np.ones((4, 4)), np.ones((4, 5))]
    with pytest.raises(DataError, match=r"of one size, got \(4, 4\), \(4, 5\)\. Resize"):
        Autoencoder(2, max_epochs=1).fit(mixed)


def test_a_code_larger_than_the_images_is_learnt():
    images = stack(30, 4, 4)
    model = Autoencoder(40, max_epochs=1, random_state=0, engine="cpu").fit(images)
    assert model.transform(images).shape == (30, 40)
