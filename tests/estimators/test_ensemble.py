"""An ensemble reconstructs better than its members, and its disagreement finds unusual rows."""

import numpy as np
import pandas as pd
import pytest
import torch

import latently
from latently import (
    AnomalyDetector,
    Autoencoder,
    AutoencoderSearchCV,
    ConvolutionalAutoencoder,
    CustomNetwork,
    DenseNetwork,
    EnsembleAutoencoder,
    FeatureExtractor,
    NeighborAutoencoder,
    VariationalAutoencoder,
)
from latently.exceptions import DriftWarning, ParameterError

RNG = np.random.default_rng(0)
CAUSES = RNG.normal(size=(900, 3))
X = np.tanh(CAUSES @ RNG.normal(size=(3, 40)) / 2) @ RNG.normal(size=(40, 8)) / 6
TRAIN, TEST = X[:600], X[600:]
MEMBER = Autoencoder(3, max_epochs=20, engine="cpu")


@pytest.fixture(scope="module")
def ensemble():
    return EnsembleAutoencoder(MEMBER, n_estimators=4, random_state=0).fit(TRAIN)


def error(model):
    return float(np.square(model.reconstruct(TEST, support="free") - TEST).mean())


def test_new_rows_are_rebuilt_by_the_mean_and_better_than_by_most(ensemble):
    assert error(ensemble) < 0.8 * np.mean([error(one) for one in ensemble.estimators_])
    mean = np.mean([one.reconstruct(TEST, support="free") for one in ensemble.estimators_], 0)
    np.testing.assert_allclose(ensemble.reconstruct(TEST, support="free"), mean, atol=1e-5)


def test_members_are_trained_at_once_on_the_same_rows(ensemble):
    assert ensemble.history_.steps == "recorded, 4 models at once"
    assert len({one.baselines_.mean for one in ensemble.estimators_}) == 1
    assert ensemble.baselines_.mean == ensemble.estimators_[0].baselines_.mean
    by_members = [one.baselines_.autoencoder for one in ensemble.estimators_]
    assert ensemble.baselines_.autoencoder < np.mean(by_members)
    assert ensemble.n_components_ == 12
    assert "4 members, each of them Autoencoder" in ensemble.summary()


def test_members_disagree_most_where_nothing_was_seen(ensemble):
    near, far = ensemble.disagreement(TEST), ensemble.disagreement(4 * TEST)
    assert np.median(far) > 4 * np.median(near)
    cells = ensemble.disagreement(TEST, per_feature=True)
    assert cells.shape == TEST.shape
    np.testing.assert_allclose(np.sqrt(np.square(cells).mean(1)), near, rtol=1e-5)


def test_where_members_disagree_rows_are_rebuilt_worse(ensemble):
    errors = ensemble.reconstruction_error(TEST)
    order = np.argsort(ensemble.disagreement(TEST))
    assert errors[order[-100:]].mean() > 1.5 * errors[order[:100]].mean()


@pytest.mark.parametrize(
    "member",
    [
        Autoencoder(2, max_epochs=2),
        Autoencoder(max_epochs=2),
        VariationalAutoencoder(2, max_epochs=2),
        latently.SparseAutoencoder(6, max_epochs=2),
    ],
    ids=["plain", "a size that is found", "variational", "sparse"],
)
def test_a_loaded_ensemble_answers_and_goes_on(member, tmp_path):
    frame = pd.DataFrame(TRAIN[:200].round(2)).add_prefix("column ")
    frame["kind"] = np.where(frame["column 0"] > 0, "high", "low")
    model = EnsembleAutoencoder(member, n_estimators=2, random_state=0).fit(frame)
    model.save(tmp_path / "ensemble.safetensors")
    again = latently.load(tmp_path / "ensemble.safetensors")
    for answer in ("transform", "score_samples", "disagreement"):
        np.testing.assert_array_equal(getattr(again, answer)(frame), getattr(model, answer)(frame))
    pd.testing.assert_frame_equal(again.reconstruct(frame), model.reconstruct(frame))
    pd.testing.assert_frame_equal(again.sample(5, random_state=0), model.sample(5, random_state=0))
    for one, other in zip(again.estimators_, model.estimators_, strict=True):
        np.testing.assert_array_equal(one.transform(frame), other.transform(frame))
    before = again.transform(frame)
    again.partial_fit(frame)
    assert (again.transform(frame) != before).any()


def test_images_are_rebuilt_by_several():
    images = RNG.random((40, 8, 8))
    model = EnsembleAutoencoder(
        ConvolutionalAutoencoder(2, max_epochs=1), n_estimators=2, random_state=0
    ).fit(images)
    assert model.reconstruct(images[:3]).shape == (3, 8, 8)
    assert model.disagreement(images[:3], per_feature=True).shape == (3, 8, 8)


def test_weights_and_groups_are_heard():
    weights = np.r_[np.ones(300), np.zeros(300)]
    model = EnsembleAutoencoder(MEMBER, n_estimators=2, random_state=0)
    weighed = model.fit(TRAIN, sample_weight=weights).transform(TEST)
    np.testing.assert_array_equal(model.fit(TRAIN[:300]).transform(TEST), weighed)
    model.fit(TRAIN, groups=np.arange(600) // 60)
    assert model.baselines_.n_rows == 60


def test_a_stream_reaches_every_member():
    model = EnsembleAutoencoder(MEMBER, n_estimators=2, random_state=0)
    for _ in range(3):
        model.partial_fit(TRAIN)
    assert len(model.estimators_) == 2
    assert (model.estimators_[0].transform(TEST) != model.estimators_[1].transform(TEST)).any()
    assert model.score(TEST) > 0


def test_anomalies_are_found_by_what_no_member_rebuilds():
    model = EnsembleAutoencoder(MEMBER, n_estimators=4)
    detector = AnomalyDetector(autoencoder=model, random_state=0).fit(TRAIN)
    assert (detector.predict(TEST) == -1).mean() < 0.05
    with pytest.warns(DriftWarning):
        assert (detector.predict(RNG.permuted(TEST, axis=0)) == -1).mean() > 0.9


def test_what_members_are_told_is_theirs_unless_the_ensemble_says_otherwise():
    member = Autoencoder(2, effort="fast", max_epochs=1)
    kept, changed = (
        EnsembleAutoencoder(member, n_estimators=2, random_state=0, **told).fit(TRAIN)
        for told in ({}, {"effort": "thorough"})
    )
    assert {one.effort for one in kept.estimators_} == {"fast"}
    assert {one.effort for one in changed.estimators_} == {"thorough"}
    assert "effort: fast" in kept.summary()


def test_a_network_of_the_users_is_loaded_with_its_modules(tmp_path):
    network = CustomNetwork(torch.nn.Linear(8, 2), torch.nn.Linear(2, 8))
    model = EnsembleAutoencoder(
        Autoencoder(2, network=network, max_epochs=1), n_estimators=2, random_state=0
    ).fit(TRAIN)
    model.save(tmp_path / "own.safetensors")
    again = latently.load(tmp_path / "own.safetensors", network=network)
    np.testing.assert_array_equal(again.transform(TEST), model.transform(TEST))


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"autoencoder": NeighborAutoencoder()}, "autoencoder"),
        ({"n_estimators": 0}, "n_estimators"),
        ({"n_estimators": 1_001}, "n_estimators"),
    ],
)
def test_wrong_parameters_are_refused(parameters, words):
    with pytest.raises(ParameterError, match=words):
        EnsembleAutoencoder(**parameters).fit(TRAIN)


def test_a_dataset_is_refused(tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.table({"a": [1.0, 2.0, 3.0]}), tmp_path / "a.parquet")
    with pytest.raises(latently.exceptions.DataError, match="rows in memory"):
        EnsembleAutoencoder().fit(latently.TableDataset(tmp_path / "a.parquet"))


def test_features_may_be_the_hidden_layers_of_all_members():
    member = Autoencoder(2, network=DenseNetwork((8, 4)), max_epochs=1)
    model = EnsembleAutoencoder(member, n_estimators=3, random_state=0).fit(TRAIN)
    features = FeatureExtractor(autoencoder=model, layers="all").fit(TRAIN)
    assert features.transform(TEST).shape == (300, 3 * (8 + 4 + 2))
    one = FeatureExtractor(autoencoder=model.estimators_[0], layers="all").fit(TRAIN)
    np.testing.assert_allclose(features.transform(TEST)[:, :12], one.transform(TEST)[:, :12])


def test_a_search_asks_for_a_space_of_its_own():
    model = EnsembleAutoencoder(MEMBER, n_estimators=2)
    with pytest.raises(ParameterError, match="Tune a member"):
        AutoencoderSearchCV(model, n_trials=1, random_state=0).fit(TRAIN)
    space = {"n_estimators": [1, 2]}
    found = AutoencoderSearchCV(model, space, n_trials=1, random_state=0).fit(TRAIN)
    assert len(found.best_estimator_.estimators_) in (1, 2)


def test_members_that_learnt_from_all_rows_are_judged_by_training_rows():
    member = Autoencoder(2, max_epochs=2, refit=True)
    model = EnsembleAutoencoder(member, n_estimators=2, random_state=0).fit(TRAIN)
    assert model.baselines_.rows == "training"
