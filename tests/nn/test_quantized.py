"""Codes from a codebook."""

import numpy as np
import pytest
import torch

import latently
from latently import Autoencoder
from latently.exceptions import ParameterError
from latently.nn import VectorQuantization

QUICK = {"max_epochs": 40, "random_state": 0, "engine": "cpu"}


def clusters(n_rows=600, n_clusters=4):
    """Return rows at the corners of a square, and the corner of each."""
    rng = np.random.default_rng(0)
    corners = np.array([[0, 0], [8, 0], [0, 8], [8, 8]], float)[:n_clusters]
    which = rng.integers(n_clusters, size=n_rows)
    return corners[which] + 0.1 * rng.normal(size=(n_rows, 2)), which


def trained(n_components=4, n_codes=8, n_groups=2, n_steps=200):
    """Return a latent that has seen normal rows, and those rows."""
    torch.manual_seed(0)
    latent = VectorQuantization(n_codes, n_groups, decay=0.9)(n_components).train()
    rows = torch.randn(512, n_components)
    for _ in range(n_steps):
        latent(rows)
    return latent.eval(), rows


def test_each_group_of_components_is_the_nearest_of_its_own_codewords():
    latent, rows = trained()
    value = latent(rows).value
    for group in range(2):
        part = slice(2 * group, 2 * group + 2)
        distances = torch.cdist(rows[:, part], latent.codebook[group])
        assert torch.equal(value[:, part], latent.codebook[group][distances.argmin(1)])


def test_codewords_become_the_means_of_their_rows_as_in_k_means():
    latent, rows = trained(n_components=2, n_groups=1, n_codes=4, n_steps=2000)
    nearest = torch.cdist(rows, latent.codebook[0]).argmin(1)
    means = torch.stack([rows[nearest == word].mean(0) for word in range(4)])
    torch.testing.assert_close(latent.codebook[0], means, atol=2e-3, rtol=0)


def test_the_gradient_passes_to_the_encoder_unchanged():
    latent, rows = trained()
    hidden = rows.clone().requires_grad_()
    weights = torch.randn_like(hidden)
    (latent(hidden).sample * weights).sum().backward()
    torch.testing.assert_close(hidden.grad, weights)


def test_the_penalty_is_the_squared_distance_to_the_codeword():
    latent, rows = trained()
    code = latent(rows)
    torch.testing.assert_close(code.penalty, (rows - code.value).square().sum(1))
    assert latent.weight_at(0.5) == 0.25


def test_unused_codewords_are_moved_until_all_are_in_use():
    latent, rows = trained(n_components=2, n_groups=1, n_codes=16)
    assert latent.metrics(rows)["perplexity"] > 8
    assert len(latent(rows).value.unique(dim=0)) == 16


def test_one_code_a_cluster_is_found_and_its_perplexity_kept_in_the_history():
    X, which = clusters()
    model = Autoencoder(2, latent=VectorQuantization(4), **QUICK).fit(X)
    _, code = np.unique(model.transform(X), axis=0, return_inverse=True)
    pairs = set(zip(which.tolist(), code.ravel().tolist(), strict=True))
    assert len(pairs) == 4
    assert model.history_.records[-1].metrics["perplexity"] == pytest.approx(4, rel=0.1)


def test_codes_are_drawn_by_their_frequency():
    latent, rows = trained(n_components=2, n_groups=1, n_codes=4, n_steps=2000)
    rows = rows[rows[:, 0] > -0.5]
    latent.fit_prior(rows)
    drawn = latent.draw(4000)
    for word in latent.codebook[0]:
        in_rows = (latent(rows).value == word).all(1).float().mean()
        in_draws = (drawn == word).all(1).float().mean()
        assert abs(float(in_draws - in_rows)) < 0.03


def test_a_row_has_one_code_alone_and_in_a_batch():
    X, _ = clusters()
    model = Autoencoder(2, latent=VectorQuantization(8), **QUICK).fit(X)
    whole = model.transform(X)
    alone = np.vstack([model.transform(X[i : i + 1]) for i in range(50)])
    assert (alone == whole[:50]).all()


def test_a_quantised_model_is_loaded_without_further_words(tmp_path):
    X, _ = clusters()
    model = Autoencoder(2, latent=VectorQuantization(4), **QUICK).fit(X)
    model.save(tmp_path / "model")
    loaded = latently.load(tmp_path / "model")
    assert (loaded.transform(X) == model.transform(X)).all()
    assert loaded.latent == model.latent


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"n_codes": 1}, "n_codes must be at least 2"),
        ({"n_groups": 0}, "n_groups must be at least 1"),
        ({"commitment": -1.0}, "commitment must be finite"),
        ({"commitment": float("inf")}, "commitment must be finite"),
        ({"decay": 1.0}, r"decay must be in \[0, 1\)"),
    ],
)
def test_parameters_out_of_range_are_refused(parameters, words):
    with pytest.raises(ParameterError, match=words):
        VectorQuantization(**parameters)


def test_groups_must_divide_the_code():
    with pytest.raises(ParameterError, match="n_groups must divide n_components=3, got 2"):
        Autoencoder(3, latent=VectorQuantization(4, n_groups=2)).fit(clusters()[0])
