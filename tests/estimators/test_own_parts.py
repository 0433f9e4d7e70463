"""Latents and likelihoods of the user's own."""

import math

import numpy as np
import pytest
import torch

import latently
from latently import (
    Autoencoder,
    DenoisingAutoencoder,
    EnsembleAutoencoder,
    VariationalAutoencoder,
)
from latently.exceptions import ParameterError
from latently.nn import Code, ColumnLikelihood, Deterministic, Gaussian, PointLatent
from tests.contract.own import CLASSES, Rounded, StudentT
from tests.contract.samples import matrix, stack, transactions

QUICK = {"max_epochs": 5, "random_state": 0, "engine": "cpu"}


class Plain(Deterministic):
    """The plain code under another name."""


class Normal(ColumnLikelihood):
    """A normal of scale one, as the built-in "gaussian"."""

    def loss(self, parameters, target, noise):
        squares = (target - parameters).square()
        return (0.5 * squares + 0.5 * math.log(2 * math.pi)).sum(-1)

    def mean(self, parameters):
        return parameters

    def draw(self, parameters, noise):
        return parameters

    def offset(self, mean):
        return mean


class Cross(Normal):
    """Numbers in [0, 1] by their squared error."""

    encoding = "bernoulli"


class TooWide(PointLatent):
    def forward(self, hidden):
        wide = torch.cat([hidden, hidden], 1)
        return Code(wide, wide, hidden.new_zeros(len(hidden)))


def test_a_latent_that_is_the_plain_code_trains_the_plain_model():
    plain = Autoencoder(2, **QUICK).fit(matrix())
    own = Autoencoder(2, latent=Plain, **QUICK).fit(matrix())
    assert (own.transform(matrix()) == plain.transform(matrix())).all()


def test_a_likelihood_that_is_gaussian_trains_the_gaussian_model():
    plain = Autoencoder(2, likelihood="gaussian", **QUICK).fit(matrix())
    own = Autoencoder(2, likelihood=Normal(), **QUICK).fit(matrix())
    np.testing.assert_allclose(own.transform(matrix()), plain.transform(matrix()), atol=1e-4)
    np.testing.assert_allclose(
        own.score_samples(matrix()), plain.score_samples(matrix()), atol=1e-4
    )


def test_the_score_of_a_row_is_the_half_deviance_of_the_likelihood():
    X = matrix()
    model = Autoencoder(2, likelihood=StudentT(), **QUICK).fit(X)
    residual = (X - model.reconstruct(X, support="free")) / X.std(0)
    expected = 2 * np.log1p(np.square(residual) / 3)
    np.testing.assert_allclose(model.reconstruction_error(X, per_feature=True), expected, atol=1e-4)
    np.testing.assert_allclose(model.score_samples(X), -expected.mean(1), atol=1e-4)


@pytest.mark.parametrize("data", [stack(24, 4, 4), matrix() * 0.1 + 0.5], ids=["images", "table"])
def test_the_encoding_of_a_likelihood_scales_numbers(data):
    data = np.clip(data, 0, 1)
    model = Autoencoder(2, likelihood=Cross(), **QUICK).fit(data)
    assert {block.likelihood for block in model.preprocessor_.layout.blocks} == {"bernoulli"}
    assert isinstance(model.module_.likelihood.runs[0].kind, Cross)


def test_categories_keep_their_own_likelihood():
    model = Autoencoder(2, likelihood=StudentT(), **QUICK).fit(transactions("pandas"))
    runs = model.module_.likelihood.runs
    assert {run.block.likelihood for run in runs if isinstance(run.kind, StudentT)} == {"gaussian"}
    assert any(run.block.likelihood == "categorical" for run in runs)


def test_an_ensemble_keeps_the_likelihood_of_its_members():
    ensemble = EnsembleAutoencoder(Autoencoder(2, likelihood=StudentT(), **QUICK), n_estimators=2)
    fitted = ensemble.fit(matrix())
    assert isinstance(fitted.module_.likelihood.own, StudentT)


def test_the_scale_of_a_variational_model_reaches_the_likelihood(tmp_path):
    model = VariationalAutoencoder(2, likelihood=StudentT(), **QUICK).fit(matrix())
    assert model.module_.likelihood.log_scale is not None
    model.save(tmp_path / "model")
    loaded = latently.load(tmp_path / "model", classes=CLASSES)
    assert (loaded.score_samples(matrix()) == model.score_samples(matrix())).all()


@pytest.mark.parametrize("model", [Autoencoder, DenoisingAutoencoder])
def test_the_size_of_a_code_of_the_users_own_is_that_of_a_pca(model):
    fitted = model(latent=Rounded, **QUICK).fit(matrix())
    assert fitted.n_components_ >= 1
    assert not hasattr(fitted, "components_curve_")


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"latent": Plain, "ordered": True}, "ordered must be False with latent="),
        ({"latent": Gaussian, "refinement_steps": 2}, "refinement_steps must be 0 with latent="),
        ({"latent": lambda n: 3}, "latent must return a latently.nn.Latent, got int"),
        ({"latent": TooWide}, r"value of latent must have shape \(2, 2\).*got \(2, 4\)"),
        ({"latent": lambda n: Plain(n + 1)}, r"must have shape \(2, 2\).*got \(2, 3\)"),
        ({"latent": 3}, "latent"),
        ({"likelihood": Normal}, r"likelihood must be an instance, got the class Normal"),
        ({"likelihood": 3}, "likelihood"),
        ({"corruption": latently.Masking}, r"Write Masking\(\)"),
    ],
)
def test_what_does_not_fit_is_refused_with_what_to_do(parameters, words):
    with pytest.raises(ParameterError, match=words):
        Autoencoder(2, **QUICK).set_params(**parameters).fit(matrix())


def test_a_latent_of_the_package_is_refused_at_save(tmp_path):
    model = Autoencoder(2, latent=Gaussian, **QUICK).fit(matrix())
    with pytest.raises(ParameterError, match="latent must be"):
        model.save(tmp_path / "model")
    assert not (tmp_path / "model").exists()
