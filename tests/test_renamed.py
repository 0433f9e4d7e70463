"""Old names raise an error with the new one, and files that hold them are read."""

import json

import numpy as np
import pytest

import latently
from latently import (
    AnomalyDetector,
    Autoencoder,
    Blocks,
    Contamination,
    FalseAlarmRate,
    Masking,
    RayEngine,
    SaltAndPepper,
    VariationalAutoencoder,
)
from latently._codec import from_plain
from latently._renamed import CLASSES
from latently.datasets import make_transactions
from latently.exceptions import ParameterError
from latently.persistence._load import CLASSES as LOADABLE


@pytest.mark.parametrize("old", CLASSES)
def test_an_old_class_name_gives_the_new_one(old):
    with pytest.raises(ImportError, match=f"{old} was renamed. Use {CLASSES[old]}."):
        getattr(latently, old)
    assert hasattr(latently, CLASSES[old])
    assert old not in dir(latently)


@pytest.mark.parametrize(
    ("make", "old", "new"),
    [
        (Autoencoder, "max_seconds", "time_limit"),
        (VariationalAutoencoder, "max_seconds", "time_limit"),
        (Masking, "rate", "fraction"),
        (SaltAndPepper, "rate", "fraction"),
        (Blocks, "share", "fraction"),
        (Contamination, "share", "fraction"),
        (RayEngine, "num_workers", "n_workers"),
        (make_transactions, "fraud_rate", "fraud_fraction"),
        (make_transactions, "missing_rate", "missing_fraction"),
    ],
)
def test_an_old_parameter_gives_the_new_one(make, old, new):
    with pytest.raises(ParameterError, match=f"{old} of .* was renamed. Use {new}."):
        make(**{old: 0.1})


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("fit_pairs", r"fit\(X, y\) of a DenoisingAutoencoder"),
        ("judges_own_rows", r"sklearn.utils.get_tags\(model\).judges_own_rows"),
        ("takes_any_size", r"sklearn.utils.get_tags\(model\).takes_any_size"),
    ],
)
def test_an_old_attribute_gives_the_new_one(old, new):
    with pytest.raises(AttributeError, match=f"{old} of Autoencoder was renamed. Use {new}"):
        getattr(Autoencoder(2), old)
    assert not hasattr(Autoencoder(2), old)
    with pytest.raises(AttributeError, match="no attribute 'unknown'"):
        _ = Autoencoder(2).unknown


def test_an_old_parameter_is_refused_after_construction_as_well():
    detector = AnomalyDetector(autoencoder=Autoencoder(2))
    with pytest.raises(ParameterError, match="Use time_limit"):
        detector.set_params(autoencoder__max_seconds=3)
    assert detector.set_params(autoencoder__time_limit=3).autoencoder.time_limit == 3


def test_an_old_argument_of_a_method_gives_the_new_one():
    X = np.random.default_rng(0).normal(size=(40, 3))
    model = VariationalAutoencoder(2, max_epochs=1, random_state=0).fit(X)
    with pytest.raises(
        ParameterError, match=r"n_samples of score_samples was renamed\. Use n_draws"
    ):
        model.score_samples(X, n_samples=4)
    assert np.array_equal(model.score_samples(X, 4), model.score_samples(X, n_draws=4))


@pytest.mark.parametrize(
    ("name", "params", "expected"),
    [
        ("Masking", {"rate": 0.25}, Masking(0.25)),
        ("Contamination", {"share": 0.25}, Contamination(0.25)),
        ("FewLabels", {"beta": 2.0}, latently.MaxFScore(2.0)),
        ("Autoencoder", {"max_seconds": 5.0}, Autoencoder(time_limit=5.0)),
    ],
)
def test_a_file_with_old_names_is_read(name, params, expected):
    stored = json.loads(json.dumps({"~class": name, "params": params}))
    made = from_plain(stored, {}, LOADABLE)
    assert type(made) is type(expected)
    assert made.get_params() == expected.get_params()


@pytest.mark.parametrize("given", [0.5, "auto", 3, FalseAlarmRate])
def test_a_threshold_that_is_no_rule_lists_the_rules(given):
    X = np.random.default_rng(0).normal(size=(40, 3))
    message = r"threshold must be a rule or None, got .* FalseAlarmRate\(0.01\), AlertBudget"
    with pytest.raises(ParameterError, match=message):
        AnomalyDetector(threshold=given).fit(X)
    with pytest.raises(ParameterError, match=message):
        AnomalyDetector(random_state=0).fit(X).set_threshold(given)
