"""What comes out lies nearer to the clean rows than what went in."""

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.datasets import load_digits

from latently import (
    Autoencoder,
    AutoencoderDenoiser,
    ConvNetwork,
    DenoisingAutoencoder,
    GaussianNoise,
    ImputationAutoencoder,
    NeighborAutoencoder,
)
from latently.exceptions import DataError, DataWarning, ParameterError
from latently.nn import AutoencoderModule
from tests.contract.samples import matrix, same, stack

QUICK = {"max_epochs": 30, "engine": "cpu"}


def noisy_and_clean(n_rows=300, n_columns=8, seed=0):
    clean = matrix(n_rows, n_columns, noise=0.0)
    noise = np.random.default_rng(seed).normal(size=clean.shape)
    return clean + 0.5 * clean.std(0) * noise, clean


def denoiser(**options):
    model = DenoisingAutoencoder(2, **{**QUICK, "corruption": GaussianNoise(0.5), **options})
    return AutoencoderDenoiser(autoencoder=model, random_state=0)


@pytest.mark.parametrize("paired", [True, False])
def test_noise_is_taken_off(paired):
    noisy, clean = noisy_and_clean()
    fitted = denoiser().fit(noisy, clean) if paired else denoiser().fit(clean)
    after = np.square(fitted.transform(noisy) - clean).mean()
    assert after < 0.5 * np.square(noisy - clean).mean()


def test_pairs_teach_what_clean_rows_alone_cannot():
    clean = matrix(300, 6, noise=0.0)
    shifted = clean * 0.5 + 1.0
    gentle = GaussianNoise(0.1)
    paired = denoiser(corruption=gentle).fit(shifted, clean).transform(shifted)
    alone = denoiser(corruption=gentle).fit(clean).transform(shifted)
    assert np.square(paired - clean).mean() < 0.3 * np.square(alone - clean).mean()


def test_the_answer_is_in_the_units_of_the_clean_rows():
    clean = matrix(200, 4, noise=0.0)
    rebuilt = denoiser().fit(1000 * clean + 500, clean).transform(1000 * clean + 500)
    assert np.abs(rebuilt.mean(0) - clean.mean(0)).max() < 0.3
    assert 0.5 < rebuilt.std() / clean.std() < 1.5


@pytest.mark.parametrize("labels", [np.arange(60), np.arange(60)[:, None], ["a", "b"] * 30, None])
def test_labels_are_not_taken_for_clean_rows(labels):
    X = matrix()
    assert same(
        denoiser(max_epochs=1).fit(X, labels).transform(X),
        denoiser(max_epochs=1).fit(X).transform(X),
    )


@pytest.mark.parametrize("model", [denoiser(max_epochs=1), DenoisingAutoencoder(2, max_epochs=1)])
@pytest.mark.parametrize("change", [lambda y: y[:, :3], lambda y: y[:30]], ids=["columns", "rows"])
def test_targets_of_another_shape_are_refused(model, change):
    noisy, clean = noisy_and_clean(60)
    with pytest.raises(DataError, match="y must match X row by row and column by column"):
        model.fit(noisy, change(clean))


def test_a_model_that_takes_no_targets_refuses_them():
    noisy, clean = noisy_and_clean(60)
    task = AutoencoderDenoiser(autoencoder=NeighborAutoencoder())
    with pytest.raises(ParameterError, match="y must be None or labels for a NeighborAutoenc"):
        task.fit(noisy, clean)


def test_a_denoising_autoencoder_is_fitted_to_pairs_as_by_its_task():
    noisy, clean = noisy_and_clean(60)
    task = denoiser(max_epochs=2).fit(noisy, clean)
    model = clone(task.autoencoder_).fit(noisy, clean)
    assert same(model.reconstruct(noisy), task.autoencoder_.reconstruct(noisy))


def test_the_order_of_the_pairs_does_not_matter():
    noisy, clean = noisy_and_clean(100)
    order = np.random.default_rng(2).permutation(100)
    one = denoiser(max_epochs=2).fit(noisy, clean)
    other = denoiser(max_epochs=2).fit(noisy[order], clean[order])
    assert same(one.transform(noisy), other.transform(noisy))


def test_pairs_of_frames_come_back_as_frames():
    noisy, clean = (pd.DataFrame(rows, columns=list("abcdefgh")) for rows in noisy_and_clean())
    rebuilt = denoiser().fit(noisy, clean).transform(noisy)
    assert list(rebuilt.columns) == list("abcdefgh")
    assert (
        np.square(rebuilt - clean).to_numpy().mean()
        < 0.5 * np.square(noisy - clean).to_numpy().mean()
    )


def test_noisy_images_come_out_cleaner():
    clean = load_digits().images[:400] / 16
    noisy = np.clip(clean + np.random.default_rng(0).normal(scale=0.3, size=clean.shape), 0, 1)
    model = DenoisingAutoencoder(10, network=ConvNetwork((16,)), max_epochs=15, engine="cpu")
    fitted = AutoencoderDenoiser(autoencoder=model, random_state=0).fit(noisy, clean)
    rebuilt = fitted.transform(noisy)
    assert rebuilt.shape == clean.shape
    assert np.square(rebuilt - clean).mean() < 0.7 * np.square(noisy - clean).mean()


@pytest.mark.parametrize(
    ("rows", "layer"), [(stack(20, 6, 6), "ConvTranspose2d"), (matrix(), "Linear")]
)
def test_images_are_taken_to_a_convolutional_network_and_tables_to_a_dense_one(
    rows, layer, monkeypatch
):
    monkeypatch.setattr(
        AutoencoderDenoiser,
        "_default_autoencoder",
        _shortened(AutoencoderDenoiser._default_autoencoder),
    )
    module = AutoencoderDenoiser(random_state=0).fit(rows).autoencoder_.module_
    assert isinstance(module, AutoencoderModule)
    assert layer in {type(part).__name__ for part in module.encoder.modules()}


def _shortened(default):
    return lambda self: default(self).set_params(max_epochs=1, engine="cpu")


def test_a_fitted_autoencoder_denoises_by_its_own_reconstruction():
    X = matrix()
    model = Autoencoder(2, max_epochs=1, random_state=0, engine="cpu").fit(X)
    assert same(AutoencoderDenoiser(autoencoder=model).fit(X).transform(X), model.reconstruct(X))


def test_a_model_that_is_no_denoiser_is_named():
    X = matrix()
    masked = ImputationAutoencoder(8, n_networks=1, n_trees=4, max_epochs=1, random_state=0)
    for model in (masked, NeighborAutoencoder(robust=True, random_state=0)):
        with pytest.warns(DataWarning, match="is not trained with noise and has no narrow code"):
            answer = AutoencoderDenoiser(autoencoder=model).fit(X).transform(X)
        assert answer.shape == X.shape


def test_a_memory_takes_noise_off():
    noisy, clean = noisy_and_clean()
    fitted = AutoencoderDenoiser(autoencoder=NeighborAutoencoder(random_state=0)).fit(clean)
    after = np.square(fitted.transform(noisy) - clean).mean()
    assert after < 0.7 * np.square(noisy - clean).mean()
