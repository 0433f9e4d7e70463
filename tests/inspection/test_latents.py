"""What latents mean: planted factors are found, named, and turned back to."""

import json

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_digits

from latently import (
    Autoencoder,
    DenseNetwork,
    SparseAutoencoder,
    UNetAutoencoder,
    VariationalAutoencoder,
    describe_latents,
    load,
)
from latently.exceptions import DataError, NotFittedError, ParameterError
from latently.inspection import archetypes, score_factors, stability, traverse

QUICK = {"random_state": 0, "engine": "cpu"}
LINEAR = {"network": DenseNetwork(()), **QUICK}


def factors(n, seed=0):
    """Return independent factors, none of them normal."""
    rng = np.random.default_rng(seed)
    columns = [rng.uniform(-1.7, 1.7, n), rng.laplace(size=n) / 1.4, rng.choice([-1.0, 1.0], n)]
    return np.column_stack(columns) + 0.01 * rng.normal(size=(n, 3))


def mixed(truth, seed=1, width=9):
    rng = np.random.default_rng(seed)
    noise = 0.02 * rng.normal(size=(len(truth), width))
    return truth @ np.random.default_rng(5).normal(size=(truth.shape[1], width)) + noise


@pytest.fixture(scope="module")
def fitted():
    truth = factors(2_000)
    rows = mixed(truth)
    return Autoencoder(3, max_epochs=40, **LINEAR).fit(rows), rows, truth


# ---------------------------------------------------------------- rotation
@pytest.mark.parametrize("method", ["ica", "varimax"])
def test_a_rotation_changes_no_reconstruction(method, fitted, tmp_path):
    _, rows, _ = fitted
    model = Autoencoder(3, max_epochs=40, **LINEAR).fit(rows)
    before, code = model.reconstruct(rows), model.transform(rows)
    model.rotate_latents(rows, method)
    np.testing.assert_array_equal(model.reconstruct(rows), before)
    turned = model.transform(rows)
    np.testing.assert_allclose(model.inverse_transform(turned), before, atol=1e-5)
    assert not np.allclose(turned, code)
    np.testing.assert_allclose(turned.std(0), 1, atol=1e-3)
    model.save(tmp_path / "model.safetensors")
    np.testing.assert_array_equal(load(tmp_path / "model.safetensors").transform(rows), turned)
    fresh = model.fit(rows).transform(rows)
    np.testing.assert_array_equal(fresh, code)


def test_ica_finds_the_factors_that_the_code_had_mixed(fitted):
    _, rows, truth = fitted
    model = Autoencoder(3, max_epochs=40, **LINEAR).fit(rows)
    before = score_factors(model.transform(rows), truth)
    after = score_factors(model.rotate_latents(rows).transform(rows), truth)
    assert after.sap > 0.98 > 0.9 > before.sap
    assert after.correlation > before.correlation


def test_varimax_finds_columns_that_go_together():
    rng = np.random.default_rng(0)
    truth = rng.normal(size=(1_500, 2))
    rows = np.repeat(truth, 4, axis=1) + 0.05 * rng.normal(size=(1_500, 8))
    model = Autoencoder(2, max_epochs=40, **LINEAR).fit(rows).rotate_latents(rows, "varimax")
    moved = [{move.element for move in card.moves} for card in describe_latents(model, rows).cards]
    assert sorted(map(sorted, moved)) == [["x0", "x1", "x2", "x3"], ["x4", "x5", "x6", "x7"]]


def test_a_variational_code_is_rotated_and_sampled_alike():
    rows = mixed(factors(400))
    model = VariationalAutoencoder(3, max_epochs=5, **QUICK).fit(rows)
    drawn = model.sample(5, random_state=0)
    np.testing.assert_array_equal(model.rotate_latents(rows).sample(5, random_state=0), drawn)


# ---------------------------------------------------------------- cards
def test_a_latent_is_said_to_move_what_it_moves_in_the_users_unit():
    rng = np.random.default_rng(0)
    size, age = rng.normal(size=(2, 1_500))
    frame = pd.DataFrame({"height": 170 + 10 * size, "weight": 70 + 8 * size, "age": 40 + 12 * age})
    model = Autoencoder(2, max_epochs=60, **LINEAR).fit(frame).rotate_latents(frame, "varimax")
    first, second = describe_latents(model, frame).cards
    moves = {move.element: move.change for move in first.moves}
    assert set(moves) == {"height", "weight"}
    assert abs(moves["height"]) == pytest.approx(10, rel=0.1)
    assert moves["weight"] / moves["height"] == pytest.approx(0.8, rel=0.1)
    assert [move.element for move in second.moves] == ["age"]
    assert second.is_nameable and second.rule.startswith("age ")


def test_a_category_moves_by_its_chance_and_makes_the_rule():
    rng = np.random.default_rng(0)
    kind = rng.choice(["cat", "dog"], 800)
    frame = pd.DataFrame({"kind": kind, "size": np.where(kind == "cat", 4.0, 30.0)})
    frame["size"] += rng.normal(size=800)
    model = Autoencoder(1, max_epochs=40, **QUICK).fit(frame)
    (card,) = describe_latents(model, frame).cards
    assert {move.element.split(" ")[0] for move in card.moves} == {"kind", "size"}
    assert card.r2 > 0.9
    lowest, highest = frame.kind[list(card.lowest)], frame.kind[list(card.highest)]
    assert lowest.nunique() == highest.nunique() == 1 and set(lowest) != set(highest)


def test_pure_noise_is_not_nameable_and_says_so():
    rows = np.random.default_rng(0).normal(size=(600, 12))
    model = Autoencoder(12, max_epochs=10, **LINEAR).fit(rows)
    turn = np.linalg.qr(np.random.default_rng(1).normal(size=(12, 12)))[0]
    model = Autoencoder(12, max_epochs=40, **LINEAR).fit(rows @ turn)
    report = describe_latents(model, rows @ turn)
    weak = [card for card in report.cards if not card.is_nameable]
    assert weak and all("not nameable" in str(card) for card in weak)


def test_dead_and_collapsed_latents_are_counted():
    rows = mixed(factors(800))
    model = VariationalAutoencoder(8, max_epochs=60, **QUICK).fit(rows)
    report = describe_latents(model, rows)
    assert 1 <= report.n_collapsed <= 5 and report.n_dead == 0
    sparse = SparseAutoencoder(40, n_active=2, max_epochs=10, **QUICK).fit(rows)
    wide = describe_latents(sparse, rows, n_latents=40)
    active = (sparse.transform(rows) != 0).mean(0)
    assert wide.n_dead == (active == 0).sum()
    assert all(card.firing_rate == pytest.approx(active[card.latent]) for card in wide.cards)


def test_a_report_is_plain_data(fitted):
    model, rows, _ = fitted
    json.dumps(describe_latents(model, rows).to_dict())
    assert len(describe_latents(model, rows, n_latents=2)) == 2


def test_images_have_moves_and_no_tree():
    images = load_digits().images[:300]
    report = describe_latents(Autoencoder(4, max_epochs=5, **QUICK).fit(images), images)
    assert report[0].moves and report[0].r2 is None


# ---------------------------------------------------------------- traversal, archetypes
def test_a_traversal_moves_one_latent_through_what_it_is(fitted):
    model, rows, _ = fitted
    walk = traverse(model, rows, 1, n_steps=5)
    codes = model.transform(walk)
    assert walk.shape == (5, rows.shape[1])
    assert (np.diff(codes[:, 1]) > 0).all() or (np.diff(codes[:, 1]) < 0).all()
    assert np.ptp(codes[:, [0, 2]], axis=0).max() < 0.1 * np.ptp(codes[:, 1])


def test_archetypes_are_the_corners():
    rng = np.random.default_rng(0)
    corners = np.array([[0.0, 0.0], [10.0, 0.0], [0.0, 10.0]])
    shares = rng.dirichlet(np.ones(3), 400)
    rows = np.concatenate([corners, shares @ corners])
    model = Autoencoder(2, max_epochs=60, **LINEAR).fit(rows)
    found = rows[archetypes(model, rows, 3)]
    distance = np.linalg.norm(found[:, None] - corners, axis=2).min(0)
    assert distance.max() < 1.5


# ---------------------------------------------------------------- factors, stability
def test_the_factors_themselves_score_one_and_shuffled_ones_nothing():
    truth = np.random.default_rng(0).normal(size=(2_000, 4))
    perfect = score_factors(truth[:, [2, 0, 3, 1]], truth)
    for name in ("mig", "disentanglement", "completeness", "informativeness", "sap", "correlation"):
        assert getattr(perfect, name) > 0.93, name
    assert perfect.matched == (1, 3, 0, 2)
    nothing = score_factors(np.random.default_rng(1).permutation(truth), truth)
    for name in ("mig", "informativeness", "sap", "correlation"):
        assert getattr(nothing, name) < 0.08, name
    assert "MIG" in str(perfect)


def test_a_turned_code_keeps_its_information_and_loses_its_axes():
    truth = factors(2_000)
    turn = np.linalg.qr(np.random.default_rng(3).normal(size=(3, 3)))[0]
    plain, turned = score_factors(truth, truth), score_factors(truth @ turn, truth)
    assert turned.informativeness > 0.8
    assert turned.mig < 0.5 * plain.mig and turned.disentanglement < plain.disentanglement - 0.2


def test_latents_that_come_back_with_another_seed_are_trusted():
    rows = mixed(factors(1_000))
    make = [Autoencoder(3, max_epochs=40, **{**LINEAR, "random_state": s}) for s in range(3)]
    models = [model.fit(rows).rotate_latents(rows) for model in make]
    found = stability(models, rows)
    assert all(found.trusted) and min(found.correlation) > 0.95
    noise = np.random.default_rng(0).normal(size=(1_000, 9))
    strangers = [model.fit(noise) for model in make]
    assert not all(stability(strangers, noise).trusted)
    assert "another seed" in str(stability(strangers, noise))


# ---------------------------------------------------------------- bad input
def test_bad_input_is_refused_in_a_sentence(fitted):
    model, rows, truth = fitted
    sparse = SparseAutoencoder(12, n_active=2, max_epochs=1, **QUICK).fit(rows)
    with pytest.raises(DataError, match="sparse code cannot be rotated"):
        sparse.rotate_latents(rows)
    with pytest.raises(DataError, match="needs at least 6 rows, got 5"):
        model.rotate_latents(rows[:5])
    with pytest.raises(ParameterError, match="method"):
        model.rotate_latents(rows, "pca")
    with pytest.raises(NotFittedError):
        describe_latents(Autoencoder(), rows)
    with pytest.raises(DataError, match="not made to be decoded alone"):
        images = load_digits().images[:40]
        describe_latents(UNetAutoencoder(max_epochs=1, **QUICK).fit(images), images)
    with pytest.raises(DataError, match="20 rows at least"):
        describe_latents(model, rows[:3])
    with pytest.raises(DataError, match="no latent 3"):
        traverse(model, rows, 3)
    with pytest.raises(DataError, match="as many rows"):
        score_factors(truth[:50], truth)
    with pytest.raises(DataError, match="two or more"):
        stability([model], rows)
