"""Stacks of images keep axes, size, type and range."""

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
    DenoisingAutoencoder,
    DenseNetwork,
    EnsembleAutoencoder,
    FeatureExtractor,
    ImputationAutoencoder,
    LatentSampler,
    MapAutoencoder,
    Masking,
    NeighborAutoencoder,
    UNetAutoencoder,
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


@pytest.mark.parametrize("dtype", ["uint8", ">u2", "int32", "bool", "float16", ">f4", "float64"])
@pytest.mark.parametrize("network", NETWORKS[:2], ids=str)
def test_pixels_come_back_in_their_type_and_range(network, dtype):
    images = stack(20, 5, 5, dtype=dtype)
    model = Autoencoder(2, network=network, kind="images", **QUICK)
    rebuilt = model.fit(images).reconstruct(images)
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
    images = 0.5 + 0.4 * stack(*shape)
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
    with pytest.raises(ParameterError, match="must be fitted to images"):
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
    rebuilt = model.reconstruct(images)
    assert rebuilt.dtype == np.uint8 and (rebuilt == value).all()


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
    rebuilt = model.reconstruct(images)
    assert rebuilt.shape == images.shape and rebuilt.dtype == bool
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


WINDOWS = np.random.default_rng(0).normal(size=(60, 24, 3))


def windows(*scales):
    """Return windows (n, steps, channels) of a series, with channels of different scale."""
    return WINDOWS * scales


@pytest.mark.parametrize("scales", [(1, 1, 1), (1, 100, 1e4)], ids=str)
@pytest.mark.parametrize(
    "model",
    [
        Autoencoder(2, **QUICK),
        ConvolutionalAutoencoder(2, **QUICK),
        MapAutoencoder(2, **QUICK),
        NeighborAutoencoder(),
        EnsembleAutoencoder(Autoencoder(2, **QUICK), n_estimators=2),
        UNetAutoencoder(kind="auto"),
        AnomalyDetector(),
        AutoencoderDenoiser(),
        AutoencoderImputer(),
        FeatureExtractor(),
        LatentSampler(),
    ],
    ids=lambda model: type(model).__name__,
)
def test_windows_of_a_series_are_not_taken_for_images(model, scales):
    for X in (windows(*scales), windows(*scales).transpose(0, 2, 1), windows(*scales)[..., None]):
        with pytest.raises(DataError, match=r'kind="images".*flatten windows') as caught:
            clone(model).fit(X)
        assert len(str(caught.value)) <= 300


def test_windows_are_refused_by_a_model_of_tables_with_what_to_do():
    with pytest.raises(DataError, match=r"takes tables.*X\.reshape\(len\(X\), -1\)"):
        ImputationAutoencoder().fit(WINDOWS)


def test_windows_in_a_stream_are_refused_as_well():
    with pytest.raises(DataError, match="flatten windows"):
        Autoencoder(2, **QUICK).partial_fit(WINDOWS)


@pytest.mark.parametrize(
    "task",
    [
        AnomalyDetector(kind="images", random_state=0),
        AnomalyDetector(autoencoder=Autoencoder(2, kind="images", **QUICK), random_state=0),
        FeatureExtractor(autoencoder=Autoencoder(2, **QUICK), kind="images"),
        AutoencoderImputer(autoencoder=Autoencoder(2, **QUICK), kind="images"),
        EnsembleAutoencoder(Autoencoder(2, **QUICK), n_estimators=2, kind="images"),
    ],
    ids=str,
)
def test_what_is_declared_is_an_image(task):
    images = stack(40, 6, 6) * 3000 - 1000
    assert clone(task).fit(images).n_features_in_ == 36


def test_a_fitted_autoencoder_says_what_its_rows_are():
    images = stack(40, 6, 6) * 3000 - 1000
    fitted = Autoencoder(2, kind="images", **QUICK).fit(images).set_params(kind="auto")
    assert AnomalyDetector(autoencoder=fitted).fit(images).predict(images).shape == (40,)


def test_a_model_of_tables_cannot_be_told_to_take_images():
    task = AutoencoderImputer(autoencoder=ImputationAutoencoder(), kind="images")
    with pytest.raises(ParameterError, match="needs an autoencoder of images"):
        task.fit(stack(20, 5, 5))


def test_pairs_are_images_if_their_target_is():
    clean = stack(30, 6, 6)
    noisy = clean + np.random.default_rng(1).normal(scale=0.3, size=clean.shape)
    with pytest.warns(DataWarning, match="pixels lie outside"):
        fitted = DenoisingAutoencoder(2, **QUICK).fit(noisy, clean)
    assert fitted.preprocessor_.spec.high == 1


def test_channels_of_unlike_range_are_warned_of():
    images = stack(40, 8, 8, 3) * [1.0, 0.5, 0.01]
    with pytest.warns(DataWarning, match="Channels have ranges as unlike as"):
        Autoencoder(2, **QUICK).fit(images)


def shown(images, dtype):
    """Return images in [0, 1] converted to another type, with its value of white."""
    kind = np.dtype(dtype)
    if kind.kind == "f":
        return images.astype(kind)
    return np.rint(images * np.iinfo(kind).max).astype(kind)


@pytest.mark.parametrize("asked", ["uint8", ">u2", "uint16", "float32", "float64"])
@pytest.mark.parametrize("fitted", ["uint8", "uint16", "float64"])
@pytest.mark.parametrize("model", [Autoencoder(2, **QUICK), UNetAutoencoder(**QUICK)], ids=str)
def test_images_of_another_type_are_converted(model, fitted, asked):
    images = stack(30, 6, 6)
    kept = clone(model).fit(shown(images, fitted))
    expected, given = (kept.reconstruct(shown(images, kind)) for kind in (fitted, asked))
    white = np.iinfo(fitted).max if fitted != "float64" else 1
    assert given.dtype == expected.dtype
    assert np.abs(given.astype(float) - expected).max() < 0.02 * white


RAW = stack(30, 6, 6)
SCALES = {
    "uint8": shown(RAW, "uint8"),
    "12 bits in 16": np.rint(RAW * 4095).astype("uint16"),
    "floats to 255": RAW * 255,
    "noisy floats to 1": RAW + np.random.default_rng(0).normal(scale=0.3, size=RAW.shape),
    "whole to 16": np.rint(RAW * 16),
    "floats to 1": RAW,
}


@pytest.mark.parametrize(
    ("fitted", "asked"),
    [
        ("uint8", "12 bits in 16"),
        ("12 bits in 16", "uint8"),
        ("12 bits in 16", "floats to 1"),
        ("floats to 1", "12 bits in 16"),
        ("floats to 1", "floats to 255"),
        ("floats to 255", "floats to 1"),
        ("whole to 16", "floats to 1"),
        ("whole to 16", "uint8"),
        ("uint8", "noisy floats to 1"),
    ],
)
def test_images_of_another_scale_are_refused(fitted, asked):
    model = Autoencoder(2, kind="images", **QUICK).fit(SCALES[fitted])
    for ask in (model.reconstruct, model.score_samples, model.transform):
        with pytest.raises(DataError, match="on the scale of fit") as caught:
            ask(SCALES[asked])
        assert len(str(caught.value)) <= 300


def test_the_same_grey_levels_in_another_type_are_the_same_images():
    model = Autoencoder(2, **QUICK).fit(SCALES["uint8"])
    expected = model.reconstruct(SCALES["uint8"])
    for kind in ("int64", "float32", "float64"):
        assert same(model.reconstruct(SCALES["uint8"].astype(kind)), expected)


@pytest.mark.parametrize("kind", ["uint16", "int64", "float32"])
def test_black_is_black_on_every_scale(kind):
    model = Autoencoder(2, **QUICK).fit(SCALES["uint8"])
    black = np.zeros((3, 6, 6))
    assert same(model.reconstruct(black.astype(kind)), model.reconstruct(black.astype("uint8")))


def test_a_mask_of_zeros_and_ones_is_no_image_of_8_bits():
    mask = (RAW > 0.3).astype("uint8")
    with pytest.raises(DataError, match="on the scale of fit"):
        Autoencoder(2, **QUICK).fit(RAW).transform(mask)
    of_truths = Autoencoder(2, **QUICK).fit(mask.astype(bool))
    assert same(of_truths.transform(mask), of_truths.transform(mask.astype(bool)))


def test_whole_grey_levels_kept_as_floats_stay_whole():
    images = SCALES["whole to 16"]
    model = VariationalAutoencoder(2, **QUICK).fit(images)
    for answer in (model.reconstruct(images), model.sample(5, random_state=0)):
        assert answer.dtype == np.float64
        np.testing.assert_array_equal(answer, np.rint(answer))
        assert answer.min() >= 0 and answer.max() <= 16


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "bool", "float32"])
def test_every_answer_is_an_image_of_the_type_of_fit(dtype):
    images = stack(30, 6, 6) > 0.3 if dtype == "bool" else stack(30, 6, 6, dtype=dtype)
    model = VariationalAutoencoder(2, **QUICK).fit(images)
    codes = model.transform(images)
    for answer in (
        model.reconstruct(images),
        model.inverse_transform(100 * codes),
        model.sample(5, random_state=0),
        model.interpolate(images[:1], images[1:2]),
    ):
        assert answer.dtype == images.dtype
        assert images.min() <= answer.min() and answer.max() <= images.max()


def test_a_read_only_map_of_images_is_read(tmp_path):
    np.save(tmp_path / "images.npy", stack(20, 6, 6, dtype="uint8"))
    images = np.load(tmp_path / "images.npy", mmap_mode="r")
    model = ConvolutionalAutoencoder(2, **QUICK).fit(images[:, ::-1, ::2])
    assert model.reconstruct(images[:, ::-1, ::2]).shape == (20, 6, 3)


def test_a_hot_pixel_is_clipped_and_counted():
    images = np.rint(stack(40, 6, 6) * 400).astype("uint16")
    images[0, 0, 0] = 65_535
    with pytest.warns(DataWarning, match="1 pixels lie outside the range seen in fit, 0 to 511"):
        model = Autoencoder(2, **QUICK).fit(images)
    assert model.reconstruct(images[1:]).max() <= 511


def test_gaps_are_filled_on_the_scale_and_in_the_axes_of_the_images_given():
    images = stack(30, 6, 5, 3)
    gaps = np.random.default_rng(0).random(images.shape) < 0.1
    imputer = AutoencoderImputer(autoencoder=Autoencoder(2, **QUICK)).fit(shown(images, "uint8"))
    filled = imputer.transform(np.where(gaps, np.nan, images))
    assert filled.min() >= 0 and filled.max() <= 1
    first = imputer.transform(np.moveaxis(np.where(gaps, np.nan, images), -1, 1))
    assert same(np.ascontiguousarray(np.moveaxis(first, 1, -1)), filled)


def test_masked_pixels_are_missing():
    images = stack(30, 6, 5, dtype="uint8")
    masked = np.ma.masked_array(images, mask=images > 200)
    model = Autoencoder(2, **QUICK).fit(masked)
    assert model.preprocessor_.spec.most == 200
    assert (model.reconstruction_error(masked, per_feature=True)[masked.mask] == 0).all()


@pytest.mark.parametrize("model", [Autoencoder(2, **QUICK), UNetAutoencoder(**QUICK)], ids=str)
def test_free_answers_are_the_raw_expectation_of_each_pixel(model):
    images = stack(30, 6, 6, dtype="uint8")
    fitted = clone(model).fit(images)
    free, whole = fitted.reconstruct(images, support="free"), fitted.reconstruct(images)
    assert free.dtype == np.float64
    np.testing.assert_allclose(np.clip(np.rint(free), 0, 255), whole, atol=1)
