"""Exported models of images, in the type and the axes of fit."""

import numpy as np
import pytest

from latently import (
    AnomalyDetector,
    AutoencoderDenoiser,
    ConvNetwork,
    ConvolutionalAutoencoder,
    UNetAutoencoder,
    export_onnx,
)
from latently.exceptions import ParameterError
from latently.export._check import run

pytestmark = pytest.mark.filterwarnings("ignore::latently.exceptions.LatentlyWarning")
QUICK = {"max_epochs": 1, "random_state": 0}


def images(n_images, dtype, n_channels=0, side=9):
    rng = np.random.default_rng(0)
    stack = rng.random((n_images, side, side, *((n_channels,) if n_channels else ())))
    return (stack * 255).astype(dtype) if np.dtype(dtype).kind == "u" else stack.astype(dtype)


def exported(model, stack, tmp_path):
    export_onnx(model, tmp_path / "a.onnx")
    return run((tmp_path / "a.onnx").read_bytes(), {"images": stack})


@pytest.mark.parametrize(
    ("network", "dtype", "n_channels"),
    [
        (ConvNetwork((4,)), np.uint8, 0),
        (ConvNetwork((4,), residual_blocks=1, normalization="group", downsampling="pool"),
         np.float32, 3),
        (ConvNetwork((4, 8), normalization="layer", activation="elu"), np.float64, 0),
    ],
)  # fmt: skip
def test_convolutional_autoencoder_gives_its_images(network, dtype, n_channels, tmp_path):
    stack = images(24, dtype, n_channels)
    model = ConvolutionalAutoencoder(2, network=network, **QUICK).fit(stack)

    found = exported(model, stack[:7], tmp_path)

    rebuilt = model.reconstruct(stack[:7])
    assert found["reconstruction"].dtype == rebuilt.dtype
    assert np.abs(found["reconstruction"].astype(float) - rebuilt).max() <= (
        1 if dtype == np.uint8 else 1e-5
    )
    assert np.allclose(found["code"], model.transform(stack[:7]), atol=1e-4)
    error = model.reconstruction_error(stack[:7])
    assert np.allclose(found["reconstruction_error"], error, atol=1e-5)


@pytest.mark.parametrize("likelihood", ["bernoulli", "gaussian"])
def test_denoiser_takes_images_of_any_size(likelihood, tmp_path):
    unet = UNetAutoencoder(channels=(2, 4), likelihood=likelihood, **QUICK)
    denoiser = AutoencoderDenoiser(autoencoder=unet).fit(images(24, np.float32))
    larger = images(3, np.float32, side=14)

    found = exported(denoiser, larger, tmp_path)

    assert np.allclose(found["reconstruction"], denoiser.transform(larger), atol=1e-5)
    error = denoiser.autoencoder_.reconstruction_error(larger)
    assert np.allclose(found["reconstruction_error"], error, atol=1e-5)


@pytest.mark.parametrize("dtype", [np.uint8, np.float64])
def test_default_detector_of_images_flags_as_its_model(dtype, tmp_path):
    stack = images(80, dtype)
    detector = AnomalyDetector(random_state=0).fit(stack)
    rows = images(30, dtype)
    if dtype == np.float64:
        rows[0, 3] = np.nan

    found = exported(detector, rows, tmp_path)

    wanted = detector.anomaly_score(rows)
    assert np.allclose(found["score"], wanted, atol=1e-3)
    assert np.array_equal(found["flag"], wanted > detector.threshold_.cut)


def test_enlarging_is_refused(tmp_path):
    model = UNetAutoencoder(channels=(2, 4), enlarge=2, **QUICK).fit(images(16, np.float32))

    with pytest.raises(ParameterError, match="enlarge must be 1"):
        export_onnx(model, tmp_path / "a.onnx")
