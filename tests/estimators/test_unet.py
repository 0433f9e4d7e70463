"""``UNetAutoencoder`` removes noise, accepts images of any size, and documents its code."""

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from latently import (
    AutoencoderDenoiser,
    Blur,
    GaussianNoise,
    LocalEngine,
    UNetAutoencoder,
    load,
)
from latently.estimators.fit._patches import cut_patches
from latently.exceptions import DataError, ParameterError
from latently.nn import Cells
from latently.nn.images import _unet

QUICK = {"channels": (8, 16), "max_epochs": 1, "random_state": 0, "engine": "cpu"}


def waves(n, height, width, channels=None, seed=0):
    """Return smooth pictures in [0, 1]: sums of waves, far from line art."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width] / 16
    shape = (n, height, width) if channels is None else (n, height, width, channels)
    flat = np.zeros((int(np.prod(shape)) // (height * width), height, width))
    for _ in range(3):
        a, b, phase = rng.uniform(-3, 3, size=(3, len(flat), 1, 1))
        flat += np.sin(a * x + b * y + phase)
    pictures = 0.5 + flat / 6
    if channels is None:
        return pictures
    return np.moveaxis(pictures.reshape(n, channels, height, width), 1, -1)


def noisy(images, scale, seed=1):
    return images + scale * np.random.default_rng(seed).normal(size=images.shape)


def error(images, truth):
    return float(np.square(np.asarray(images, dtype=float) - truth).mean())


@pytest.fixture(scope="module")
def digits():
    images = load_digits().images / 16
    return images[:1400], images[1400:]


@pytest.fixture(scope="module")
def photograph_model():
    model = UNetAutoencoder(channels=(16, 32), max_epochs=8, patch_size=32, random_state=0)
    return model.fit(waves(30, 64, 48))


def test_noise_comes_off_digits_that_were_never_seen(digits):
    train, test = digits
    model = UNetAutoencoder(channels=(16, 32), max_epochs=20, random_state=0).fit(train)
    assert model.preprocessor_.likelihood == "bernoulli"
    for scale in (0.2, 0.4):  # one model, two strengths
        given = noisy(test, scale)
        assert error(model.reconstruct(given), test) < 0.35 * error(given, test)


def test_noise_comes_off_pictures_of_any_size(photograph_model):
    assert photograph_model.preprocessor_.likelihood == "gaussian"
    for height, width in ((64, 48), (33, 65), (17, 30)):
        truth = waves(4, height, width, seed=5)
        given = noisy(truth, 0.1)
        answer = photograph_model.reconstruct(given)
        assert answer.shape == truth.shape
        assert error(answer, truth) < 0.3 * error(given, truth)


def test_a_list_of_sizes_comes_back_as_a_list(photograph_model):
    pictures = [waves(1, 20, 30)[0], waves(1, 31, 17)[0]]
    answers = photograph_model.reconstruct(pictures)
    assert [a.shape for a in answers] == [(20, 30), (31, 17)]
    np.testing.assert_array_equal(answers[0], photograph_model.reconstruct(pictures[0][None])[0])
    assert photograph_model.transform(pictures).shape == (2, 32)


def test_tiles_show_no_seam(photograph_model, monkeypatch):
    picture = noisy(waves(1, 150, 130), 0.1)
    whole = photograph_model.reconstruct(picture)
    monkeypatch.setattr(_unet, "_TILE", 64)
    np.testing.assert_allclose(photograph_model.reconstruct(picture), whole, atol=1e-5)


def test_pairs_teach_what_a_corruption_did(digits):
    train, test = digits[0][:600], digits[1]
    blurred = [
        Blur(1.0)(torch.tensor(part[:, None]), torch.ones(len(part), 64, dtype=torch.bool))[
            0
        ].numpy()[:, 0]
        for part in (train, test)
    ]
    denoiser = AutoencoderDenoiser(
        autoencoder=UNetAutoencoder(channels=(16, 32), max_epochs=30, random_state=0)
    ).fit(blurred[0], train)
    assert error(denoiser.transform(blurred[1]), test) < 0.5 * error(blurred[1], test)


def test_small_images_come_out_large(digits):
    full, other = digits[0][:600], digits[1]
    model = UNetAutoencoder(enlarge=2, channels=(16, 32), max_epochs=30, random_state=0).fit(full)
    small = other.reshape(-1, 4, 2, 4, 2).mean((2, 4))
    answer = model.reconstruct(small)
    assert answer.shape == other.shape
    assert error(answer, other) < 0.5 * error(small.repeat(2, 1).repeat(2, 2), other)
    paired = UNetAutoencoder(enlarge=2, **QUICK).fit(small, other)
    assert paired.reconstruct(small).shape == other.shape


def test_blind_training_needs_no_clean_image():
    truth = waves(40, 32, 32)
    given = noisy(truth, 0.15)
    model = UNetAutoencoder(blind=True, channels=(16, 32), max_epochs=25, random_state=0).fit(given)
    assert error(model.reconstruct(given), truth) < 0.4 * error(given, truth)


@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_blind_training_takes_no_corruption(method):
    model = UNetAutoencoder(blind=True, corruption=GaussianNoise(0.1), **QUICK)
    with pytest.raises(ParameterError, match="corruption must be None if blind=True"):
        getattr(model, method)(waves(4, 16, 16))
    with pytest.raises(ParameterError, match="blind must be False if there are targets"):
        UNetAutoencoder(blind=True).fit(waves(4, 16, 16), waves(4, 16, 16))


def test_patches_are_the_same_places_of_both():
    clean = torch.rand(2, 1, 10, 11)
    rows = cut_patches([Cells(clean + 1)], [Cells(clean)], 4)
    torch.testing.assert_close(rows.inputs.values, rows.target.values + 1)
    assert rows.inputs.values.shape == (2 * 4 * 5, 1, 4, 4)
    windows = clean.unfold(2, 4, 1).unfold(3, 4, 1).reshape(-1, 1, 4, 4)
    equal = (rows.target.values[:, None] == windows).flatten(2).all(2)
    assert equal.any(1).all()


def test_images_of_one_patch_are_all_there_once():
    clean = torch.rand(5, 1, 4, 4)
    rows = cut_patches(pair := [Cells(clean)] * 2, pair, 4)
    assert sorted(rows.inputs.values.flatten().tolist()) == sorted(
        2 * clean.flatten().tolist(),
    )


def test_patches_come_from_where_there_is_most_to_see():
    rng = np.random.default_rng(0)
    image = np.zeros((1, 1, 64, 64), dtype=np.float32)
    image[..., :32] = rng.random((64, 32))
    rows = cut_patches([Cells(torch.from_numpy(image))], [Cells(torch.from_numpy(image))], 8)
    detailed = (rows.inputs.values.flatten(1).std(1) > 0).float().mean()
    assert detailed > 0.9  # half of the places show something


def test_a_small_picture_is_seen_as_often_as_a_large_one():
    large, small = torch.rand(1, 1, 128, 128), 2 + torch.rand(1, 1, 32, 32)
    rows = cut_patches([Cells(large), Cells(small)], [Cells(large), Cells(small)], 16)
    share = (rows.inputs.values.amin((1, 2, 3)) >= 2).float().mean()
    assert 0.4 < share < 0.6


def test_recoloured_patches_keep_their_gaps():
    with torch.random.fork_rng():
        torch.manual_seed(0)  # by chance, all of a few patches may keep their brightness
        values = (torch.rand(6, 3, 8, 8) + 1) / 2
        seen = torch.rand(6, 3 * 64) < 0.8
        values[~seen.view(6, 3, 8, 8)] = 0
        stack = [Cells(values, seen)]
        rows = cut_patches(stack, stack, 8, recolour=True)
    shown = rows.inputs.values.flatten(1)
    assert torch.equal(shown > 0, rows.inputs.observed)
    assert 0.7 < shown.sum() / values.sum() < 0.98


def test_turned_patches_stay_pairs():
    images = torch.rand(3, 1, 6, 6)
    with torch.random.fork_rng():
        for seed in range(8):
            torch.manual_seed(seed)
            noisy_, clean, judged = _unet._augmented(images + 1, images, images.flatten(1) > 0.5)
            torch.testing.assert_close(noisy_, clean + 1)
            assert torch.equal(judged, clean.flatten(1) > 0.5)


@pytest.mark.parametrize(
    "images",
    [
        (255 * waves(6, 12, 10)).astype(np.uint8),
        (255 * waves(6, 12, 10, channels=3)).astype(np.uint8),
        np.moveaxis(waves(6, 12, 10, channels=3), -1, 1).astype(np.float32),
        1000 * waves(6, 12, 10) - 300,
    ],
    ids=["grey bytes", "coloured bytes", "channels first", "another range"],
)
def test_type_axes_and_range_come_back(images, tmp_path):
    model = UNetAutoencoder(**QUICK).fit(images)
    answer = model.reconstruct(images)
    assert answer.dtype == images.dtype and answer.shape == images.shape
    spec = model.preprocessor_.spec
    assert spec.low <= answer.min() and answer.max() <= spec.high
    assert np.abs(answer.astype(float) - images).mean() < 0.5 * (spec.high - spec.low)
    assert model.reconstruction_error(images, per_feature=True).shape == images.shape

    model.save(tmp_path / "unet.safetensors")
    np.testing.assert_array_equal(load(tmp_path / "unet.safetensors").reconstruct(images), answer)


def test_a_fit_is_repeatable_and_goes_on():
    images = waves(12, 16, 16)
    models = [UNetAutoencoder(**QUICK).fit(images) for _ in range(2)]
    np.testing.assert_array_equal(*(m.reconstruct(images) for m in models))
    before = models[0].reconstruct(images)
    assert not np.array_equal(models[0].partial_fit(images).reconstruct(images), before)


def test_the_order_of_images_and_pairs_does_not_matter():
    images = waves(12, 16, 16)
    order = np.random.default_rng(0).permutation(12)
    one, other = (UNetAutoencoder(**QUICK).fit(stack) for stack in (images, images[order]))
    np.testing.assert_array_equal(one.reconstruct(images), other.reconstruct(images))
    given = noisy(images, 0.2)
    one = UNetAutoencoder(**QUICK).fit(given, images)
    other = UNetAutoencoder(**QUICK).fit(given[order], images[order])
    np.testing.assert_array_equal(one.reconstruct(images), other.reconstruct(images))


def test_missing_pixels_are_filled():
    images = waves(20, 16, 16)
    holed = images.copy()
    holed[:, 5:8, 5:8] = np.nan
    model = UNetAutoencoder(**QUICK).fit(holed)
    assert np.isfinite(model.reconstruct(holed)).all()


def test_what_a_unet_cannot_do_is_said():
    images = waves(6, 12, 10)
    model = UNetAutoencoder(**QUICK).fit(images)
    with pytest.raises(DataError, match="cannot decode"):
        model.inverse_transform(model.transform(images))
    with pytest.raises(DataError, match="have 3 channels, but fit saw 1"):
        model.reconstruct(waves(2, 12, 10, channels=3))
    with pytest.raises(DataError, match="takes images, got rows"):
        UNetAutoencoder(**QUICK).fit(np.eye(20))
    with pytest.raises(DataError, match="must match X image by image"):
        UNetAutoencoder(**QUICK).fit(images, images[:, :5])
    with pytest.raises(DataError, match="at least as large as the patches of fit, 12 x 10"):
        model.partial_fit(images[:, :5])
    with pytest.raises(ParameterError, match="channels must be"):
        UNetAutoencoder(channels=(8, 0)).fit(images)
    with pytest.raises(DataError, match="must have one size"):
        model.reconstruction_error([images[0], images[0][:4]], per_feature=True)


def test_one_image_is_enough():
    picture = waves(1, 40, 40)
    model = UNetAutoencoder(corruption=GaussianNoise(0.1), **QUICK).fit(picture)
    assert model.set_params(engine=LocalEngine("cpu")).reconstruct(picture).shape == (1, 40, 40)


def ratio(clean, given, **options):
    """Return the squared error of denoised images over that of noisy ones."""
    model = UNetAutoencoder(channels=(8, 16), max_epochs=12, random_state=0, **options)
    answer = model.fit(given, clean).reconstruct(given)
    return error(answer, clean) / error(given, clean)


@pytest.mark.parametrize(("scale", "offset"), [(1, 0), (1 / 16, 0), (1 / 64, 0), (1 / 64, 0.7)])
def test_noise_comes_off_images_that_fill_little_of_their_range(scale, offset):
    clean = scale * waves(40, 32, 32) + offset
    assert ratio(clean, noisy(clean, 0.1 * scale)) < 0.5


@pytest.mark.parametrize("where", [np.s_[0, 0, 0], np.s_[:, 5, 5]], ids=["one", "one an image"])
def test_hot_pixels_stay_as_they_are_and_spoil_no_other(where):
    clean = (400 * waves(40, 32, 32)).astype(np.uint16)
    hot = np.zeros(clean.shape, dtype=bool)
    hot[where] = True
    clean[hot] = 60_000
    given = np.clip(noisy(clean, 40), 0, 65_535).astype(np.uint16)
    model = UNetAutoencoder(channels=(8, 16), max_epochs=12, random_state=0)
    answer = model.fit(given, clean).reconstruct(given)
    np.testing.assert_array_equal(answer[hot], given[hot])
    assert error(answer[~hot], clean[~hot]) < 0.5 * error(given[~hot], clean[~hot])


def test_line_art_is_judged_by_the_range_that_is_used():
    lit = np.random.default_rng(0).random((20, 16, 16)) > 0.5
    assert UNetAutoencoder(**QUICK).fit(lit / 64).preprocessor_.likelihood == "bernoulli"
    assert UNetAutoencoder(**QUICK).fit(waves(20, 16, 16) / 64).preprocessor_.likelihood == (
        "gaussian"
    )


def test_images_brighter_than_those_of_fit_do_not_come_back_white():
    images = (400 * waves(20, 16, 16)).astype(np.uint16)
    answer = UNetAutoencoder(**QUICK).fit(images).reconstruct(2 * images)
    assert np.abs(answer.astype(float) - 2 * images).max() < 100


def test_missing_pixels_come_back_within_the_range():
    images = waves(20, 16, 16)
    holed = np.where(np.random.default_rng(0).random(images.shape) < 0.05, np.nan, images)
    answer = UNetAutoencoder(**QUICK).fit(holed).reconstruct(holed)
    assert np.isfinite(answer).all() and answer.min() >= 0 and answer.max() <= 1
