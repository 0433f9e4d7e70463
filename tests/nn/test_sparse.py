"""Sparse codes: as many active as asked for, the atoms of the truth, and exact arithmetic."""

import numpy as np
import pytest
import torch
from scipy.optimize import linear_sum_assignment

from latently import DenseNetwork, DictionaryNetwork, SparseAutoencoder, inspect, load
from latently.exceptions import DataError
from latently.nn import KL, L1, LATENTS, BatchTopK, JumpReLU, TopK
from latently.nn.variants._sparse import Atoms

QUICK = {"random_state": 0, "engine": "cpu"}
HIDDEN = torch.randn(40, 30, generator=torch.Generator().manual_seed(0))


def known_dictionary(n_rows, n_atoms=20, width=16, n_active=2, seed=0):
    """Return sums of a few atoms of length one, and the atoms."""
    rng = np.random.default_rng(seed)
    atoms = rng.normal(size=(n_atoms, width))
    atoms /= np.linalg.norm(atoms, axis=1, keepdims=True)
    on = rng.random((n_rows, n_atoms)) < n_active / n_atoms
    weights = on * (0.5 + np.abs(rng.normal(size=on.shape)))
    return weights @ atoms + 0.02 * rng.normal(size=(n_rows, width)), atoms


def matched_cosine(model, atoms):
    found = model.dictionary_ * model.preprocessor_.scale
    found = found / np.linalg.norm(found, axis=1, keepdims=True)
    cosines = np.abs(found @ atoms.T)
    return cosines[linear_sum_assignment(-cosines)].mean()


@pytest.fixture(scope="module")
def fitted():
    rows, atoms = known_dictionary(6_000)
    model = SparseAutoencoder(32, n_active=2, max_epochs=40, **QUICK)
    return model.fit(rows), rows, atoms


# ---------------------------------------------------------------- ground truth
def test_a_known_dictionary_is_recovered(fitted):
    model, rows, atoms = fitted
    assert matched_cosine(model, atoms) > 0.99
    assert ((model.transform(rows) != 0).sum(1) <= 2).all()


@pytest.mark.parametrize("sparsity", ["batchtopk", "jumprelu", "l1", "kl"])
def test_unseen_rows_have_as_many_active_components_as_asked_for(sparsity):
    rows, _ = known_dictionary(5_000, n_active=3)
    model = SparseAutoencoder(40, n_active=3, sparsity=sparsity, max_epochs=15, **QUICK)
    model.fit(rows[:4_000])
    active = (model.transform(rows[4_000:]) != 0).sum(1).mean()
    assert active == pytest.approx(3, rel=0.12)


def test_busy_rows_get_more_components_than_quiet_ones_of_a_batch():
    rows, _ = known_dictionary(4_000, n_active=3)
    model = SparseAutoencoder(40, n_active=3, sparsity="batchtopk", max_epochs=15, **QUICK)
    active = (model.fit(rows).transform(rows) != 0).sum(1)
    length = np.linalg.norm(rows - rows.mean(0), axis=1)
    assert active[length > np.quantile(length, 0.9)].mean() > 1 + active.mean()


def test_the_metrics_of_the_history_are_those_of_the_rows(fitted):
    model, rows, _ = fitted
    history = model.history_
    assert history.metric_names == ("fvu", "l0", "dead")
    assert len(history["fvu"]) == len(history)
    left = np.square((rows - model.reconstruct(rows)) / model.preprocessor_.scale).sum()
    whole = np.square((rows - rows.mean(0)) / model.preprocessor_.scale).sum()
    assert history["fvu"][-1] == pytest.approx(left / whole, rel=0.15)
    facts = inspect(model).sparsity
    assert facts.l0 == pytest.approx((model.transform(rows) != 0).sum(1).mean(), rel=0.05)
    assert facts.fvu == pytest.approx(left / whole, rel=0.15)
    assert "active in a row" in str(inspect(model))


# ---------------------------------------------------------------- the parts
def test_few_active_weights_sum_their_atoms_alone_and_all_alike():
    atoms = Atoms(30, 7)
    few = torch.where(HIDDEN > 1.8, HIDDEN, 0.0).requires_grad_()
    answer = atoms(few)
    torch.testing.assert_close(answer, few @ atoms.weight + atoms.bias)
    answer.square().sum().backward()
    got = few.grad, atoms.weight.grad
    dense = few.detach().clone().requires_grad_()
    weight = atoms.weight.detach().clone().requires_grad_()
    (dense @ weight + atoms.bias.detach()).square().sum().backward()
    torch.testing.assert_close(got[0], torch.where(dense != 0, dense.grad, 0.0))
    torch.testing.assert_close(got[1], weight.grad)


def test_atoms_keep_the_length_one(fitted):
    model, *_ = fitted
    lengths = np.linalg.norm(model.dictionary_, axis=1)
    np.testing.assert_allclose(lengths, 1, atol=1e-2)


def test_the_encoder_starts_as_the_transpose_of_the_decoder():
    encoder, decoder = DictionaryNetwork().build((6,), 9, 9, 6)
    torch.testing.assert_close(encoder.weight, decoder.weight)
    torch.testing.assert_close(decoder.weight.norm(dim=1), torch.ones(9))


def test_more_components_are_active_at_the_start():
    latent = TopK(30, 5).train()
    counts = []
    for progress in (0.0, 0.25, 0.5, 1.0):
        latent.begin_step(progress)
        counts.append(int((latent(HIDDEN.abs()).value != 0).sum(1).max()))
    assert counts == [10, 8, 5, 5]
    latent.begin_step(0.0)
    assert int((latent.eval()(HIDDEN.abs()).value != 0).sum(1).max()) == 5


def test_the_threshold_of_a_batch_keeps_as_many_of_all_rows():
    latent = BatchTopK(30, 4)
    latent.calibrate(HIDDEN)
    value = latent.eval()(HIDDEN).value
    assert (value != 0).sum() == 4 * len(HIDDEN)
    assert torch.equal(value[value != 0], HIDDEN[value != 0])
    torch.testing.assert_close(latent.firing_rate.sum(), torch.tensor(4.0))


def test_the_gradient_of_a_threshold_is_that_of_a_step_as_wide_as_the_bandwidth():
    latent = JumpReLU(30, 5).train()
    hidden = HIDDEN.clone().requires_grad_()
    code = latent(hidden)
    code.value.sum().backward()
    near = ((HIDDEN - 0.1).abs() < 0.05).float()
    torch.testing.assert_close(latent.threshold.grad, -(0.1 * near / 0.1).sum(0))
    torch.testing.assert_close(hidden.grad, (HIDDEN > 0.1).float())


@pytest.mark.parametrize("make", [L1, KL])
def test_a_steered_penalty_grows_while_too_many_are_active(make):
    latent = make(30, 2).train()
    before = float(latent.log_strength)
    latent(HIDDEN)
    assert float(latent.log_strength) > before
    few = latent(torch.full_like(HIDDEN, -1.0))
    assert torch.isfinite(few.penalty).all()
    assert float(latent.log_strength) == pytest.approx(before, abs=1e-6)


def test_sleeping_components_are_rewarded_for_coming_nearer():
    hidden = -HIDDEN.abs()
    hidden[:, 0] = 1.0
    hidden.requires_grad_()
    TopK(30, 3).train()(hidden).penalty.sum().backward()
    assert (hidden.grad[:, 1:] < 0).all() and (hidden.grad[:, 0] == 0).all()


# ---------------------------------------------------------------- the estimator
@pytest.mark.parametrize("sparsity", list(LATENTS))
def test_a_loaded_model_gives_the_same_codes(sparsity, tmp_path):
    rows, _ = known_dictionary(300)
    model = SparseAutoencoder(24, n_active=2, sparsity=sparsity, max_epochs=2, **QUICK).fit(rows)
    model.save(tmp_path / "model.safetensors")
    again = load(tmp_path / "model.safetensors")
    np.testing.assert_array_equal(again.transform(rows), model.transform(rows))
    assert again.history_ == model.history_
    assert inspect(again).sparsity == inspect(model).sparsity


def test_a_deep_network_has_a_sparse_code_and_no_dictionary():
    rows, _ = known_dictionary(300)
    model = SparseAutoencoder(24, n_active=2, network=DenseNetwork((16,)), max_epochs=2, **QUICK)
    model.fit(rows)
    assert ((model.transform(rows) != 0).sum(1) <= 2).all()
    with pytest.raises(DataError, match="needs a DictionaryNetwork"):
        _ = model.dictionary_


def test_pixels_share_one_scale():
    images = np.random.default_rng(0).integers(0, 256, size=(60, 5, 5), dtype=np.uint8)
    images[:, 0] = 0
    model = SparseAutoencoder(12, n_active=2, max_epochs=2, **QUICK).fit(images)
    assert model.reconstruct(images).dtype == np.uint8
    flat = np.linspace(0, 1, 60)[:, None] * np.array([1.0, 0.5, 0.01])
    table = SparseAutoencoder(12, n_active=2, max_epochs=2, **QUICK).fit(flat)
    assert len(set(table.preprocessor_.scale.tolist())) == 1
