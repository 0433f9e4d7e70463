"""Each ailment is planted and found, and a sound model has none."""

import json

import numpy as np
import pandas as pd
import pytest

from latently import (
    AnomalyDetector,
    Autoencoder,
    DenseNetwork,
    SparseAutoencoder,
    VariationalAutoencoder,
)
from latently.exceptions import DataError, NotFittedError
from latently.inspection import check

QUICK = {"random_state": 0, "engine": "cpu"}


def related(n, seed=0, width=8, noise=0.1):
    rng = np.random.default_rng(seed)
    factors = rng.uniform(-2, 2, size=(n, 3))
    bent = np.column_stack([factors, factors**2])
    mixed = bent @ np.random.default_rng(7).normal(size=(6, width))
    return mixed + noise * rng.normal(size=(n, width))


def names(model, X):
    return [finding.name for finding in check(model, X)]


@pytest.fixture(scope="module")
def sound():
    return Autoencoder(3, max_epochs=60, **QUICK).fit(related(3_000))


def test_a_sound_model_has_no_finding(sound):
    found = check(sound, related(500, seed=1))
    assert len(found) == 0 and found.is_healthy
    assert str(found) == "nothing wrong in 10 checks on 500 rows"


def test_overfitting_is_told_by_the_gap():
    rows = related(60, noise=0.5, width=20)
    network = DenseNetwork((256, 256))
    model = Autoencoder(10, network=network, max_epochs=400, patience=None, weight_decay=0, **QUICK)
    found = check(model.fit(rows), rows)
    gap = next(finding for finding in found if finding.name == "overfit")
    assert gap.figure > 1.5 and "times that of training rows" in gap.what


def test_unrelated_columns_are_no_better_than_the_mean():
    rows = np.random.default_rng(0).normal(size=(400, 40))
    model = Autoencoder(1, max_epochs=30, **QUICK).fit(rows)
    finding = check(model, rows).findings[0]
    assert (finding.name, finding.severity) == ("worse than the mean", "bad")
    assert finding.figure > 0.95


def test_a_network_that_a_pca_beats_is_told_so():
    rows = related(600)
    assert "worse than PCA" in names(Autoencoder(3, max_epochs=2, **QUICK).fit(rows), rows)


def test_the_column_that_nothing_tells_of_is_named():
    factors = np.random.default_rng(0).normal(size=(1_000, 3))
    rows = pd.DataFrame(factors @ np.random.default_rng(7).normal(size=(3, 12))).add_prefix("c")
    rows["noise"] = np.random.default_rng(3).normal(size=1_000)
    model = Autoencoder(3, network=DenseNetwork(()), max_epochs=60, **QUICK).fit(rows)
    finding = next(f for f in check(model, rows) if f.name == "not learnt")
    assert finding.what.startswith("Column noise is")


def test_a_copied_column_is_named_with_its_original():
    rows = pd.DataFrame(related(300)).add_prefix("c")
    rows["again"] = 3 * rows["c2"] + 1
    model = Autoencoder(3, max_epochs=5, **QUICK).fit(rows)
    finding = next(f for f in check(model, rows) if f.name == "copies")
    assert "c2 and again" in finding.what and finding.figure == 1


def test_a_collapsed_posterior_and_dead_latents_are_counted():
    rows = related(500)
    model = VariationalAutoencoder(20, beta=20.0, max_epochs=30, **QUICK).fit(rows)
    assert "posterior collapse" in names(model, rows)
    wide = SparseAutoencoder(200, n_active=1, max_epochs=3, **QUICK).fit(rows)
    assert "dead latents" in names(wide, rows)


def test_rows_of_one_batch_are_told():
    model = Autoencoder(2, batch_size=512, max_epochs=20, **QUICK).fit(related(100))
    assert "one batch" in names(model, related(100))


def test_drift_names_the_columns_that_moved(sound):
    moved = related(400, seed=2)
    moved[:, 4] += 2 * moved[:, 4].std()
    finding = next(f for f in check(sound, moved) if f.name == "drift")
    assert finding.what.startswith("Column x4 is not what it was")
    assert finding.figure == pytest.approx(2, rel=0.2) and not check(sound, moved).is_healthy
    wide = related(400, seed=3)
    wide[:, 1] *= 3
    assert "drift" in names(sound, wide)


def test_rows_that_are_rebuilt_worse_than_those_of_fit_are_told(sound):
    twisted = related(300, seed=4)[:, ::-1]
    finding = next(f for f in check(sound, twisted) if f.name == "harder rows")
    assert finding.figure > 3 and finding.severity == "bad"


def test_a_category_that_became_frequent_is_drift():
    rng = np.random.default_rng(0)
    rows = pd.DataFrame({"kind": rng.choice(["a", "b"], 600, p=[0.9, 0.1])})
    rows["size"] = (rows.kind == "a") + rng.normal(size=600)
    model = Autoencoder(1, max_epochs=10, **QUICK).fit(rows)
    other = rows[rows.kind == "b"].sample(100, replace=True, random_state=0)
    assert any("kind" in f.what for f in check(model, other) if f.name == "drift")


def test_the_rows_of_a_detector_are_no_drift_to_it_and_moved_ones_are():
    rng = np.random.default_rng(0)
    rows = pd.DataFrame({"size": 5 + rng.normal(size=400), "kind": rng.choice(["a", "b"], 400)})
    detector = AnomalyDetector(random_state=0).fit(rows)
    assert "drift" not in names(detector, rows)
    assert "drift" in names(detector, rows.assign(size=rows["size"] + 2))


def test_a_detector_and_gaps_are_checked_too():
    rows = related(300)
    rows[::7, 2] = np.nan
    found = check(AnomalyDetector(random_state=0).fit(rows), rows)
    json.dumps(found.to_dict())
    assert found.n_rows == 300


def test_bad_input_is_refused_in_a_sentence(sound):
    with pytest.raises(NotFittedError):
        check(Autoencoder(), related(30))
    with pytest.raises(DataError, match="20 rows at least, got 3"):
        check(sound, related(3))
