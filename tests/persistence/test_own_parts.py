"""Parts that the user wrote are saved by name, and loaded from the classes that are handed in."""

from dataclasses import dataclass
from functools import partial

import numpy as np
import pytest
from sklearn.base import BaseEstimator
from sklearn.model_selection import KFold, ShuffleSplit
from torch import nn

import latently
from latently import AnomalyDetector, Autoencoder, FalseAlarmRate
from latently.estimators import TrainedAutoencoder
from latently.exceptions import ModelFileError, ParameterError
from latently.nn import Code, DenseNetwork
from latently.nn._latents import PointLatent
from tests.contract.samples import matrix

QUICK = {"max_epochs": 2, "random_state": 0, "engine": "cpu"}


def brighter(values, observed):
    return values + 0.1, observed


@dataclass
class Shift:
    by: float = 0.1

    def __call__(self, values, observed):
        return values + self.by, observed


class PlainShift:
    def __init__(self, by=0.1):
        self.by = by

    def __call__(self, values, observed):
        return values + self.by, observed


class Stateful(PlainShift):
    def __init__(self):
        self.by = 0.1


class Module(nn.Module):
    def forward(self, values, observed):
        return values, observed


class Narrow(BaseEstimator):
    def __init__(self, size=3):
        self.size = size

    def build(self, input_shape, n_hidden, n_components, n_outputs):
        return DenseNetwork((self.size,)).build(input_shape, n_hidden, n_components, n_outputs)


class Rounded(PointLatent):
    def forward(self, hidden):
        value = hidden + (hidden.round() - hidden).detach()
        return Code(value, value, hidden.new_zeros(len(hidden)))


@dataclass(kw_only=True, eq=False, repr=False)
class RoundedAutoencoder(TrainedAutoencoder):
    step: float = 1.0

    def _make_latent(self, n_components):
        return Rounded(n_components)

    def fit(self, X, y=None):
        self.largest_ = float(np.max(X))
        return super().fit(X)


class Strict(FalseAlarmRate):
    pass


def saved(folder, **params):
    model = Autoencoder(2, **QUICK, **params).fit(matrix())
    model.save(folder / "model")
    return model


@pytest.mark.parametrize(
    ("part", "given"),
    [
        ({"corruption": brighter}, brighter),
        ({"corruption": Shift(0.2)}, Shift),
        ({"corruption": PlainShift(0.2)}, PlainShift),
        ({"network": Narrow(4)}, Narrow),
        ({"splitter": KFold(4)}, KFold),
        ({"splitter": ShuffleSplit(4, random_state=0)}, ShuffleSplit),
    ],
    ids=lambda part: next(iter(part)) if isinstance(part, dict) else part.__name__,
)
def test_a_part_of_the_users_own_trains_a_loaded_model_as_it_did(part, given, tmp_path):
    model = saved(tmp_path, **part)
    loaded = latently.load(tmp_path / "model", classes=[given])
    X = matrix()
    assert (loaded.transform(X) == model.transform(X)).all()
    assert (loaded.fit(X).transform(X) == model.fit(X).transform(X)).all()


def test_a_part_that_is_not_handed_in_is_named_with_what_to_do(tmp_path):
    saved(tmp_path, corruption=brighter)
    with pytest.raises(ModelFileError, match=r"classes=\[brighter\]") as caught:
        latently.load(tmp_path / "model", classes=[Shift])
    assert caught.value.reason == "class"


@pytest.mark.parametrize(
    "corruption",
    [lambda values, observed: (values, observed), partial(brighter), Stateful(), Module()],
    ids=["lambda", "partial", "state", "module"],
)
def test_a_part_that_could_not_be_loaded_again_is_refused_at_save(corruption, tmp_path):
    with pytest.raises(ParameterError, match="corruption must be a named function"):
        saved(tmp_path, corruption=corruption)
    assert not (tmp_path / "model").exists()


def test_a_class_of_autoencoder_is_loaded_with_its_latent_and_its_own_attributes(tmp_path):
    model = RoundedAutoencoder(n_components=2, step=0.5, **QUICK).fit(matrix())
    model.save(tmp_path / "model")
    loaded = latently.load(tmp_path / "model", classes=[RoundedAutoencoder])
    assert isinstance(loaded.module_.latent, Rounded) and loaded.step == 0.5
    assert loaded.largest_ == model.largest_
    assert (loaded.transform(matrix()) == model.transform(matrix())).all()


def test_parts_within_parts_are_loaded(tmp_path):
    autoencoder = RoundedAutoencoder(n_components=2, corruption=brighter, **QUICK)
    detector = AnomalyDetector(autoencoder=autoencoder, threshold=Strict(0.1)).fit(matrix())
    detector.save(tmp_path / "model")
    parts = [RoundedAutoencoder, brighter, Strict]
    loaded = latently.load(tmp_path / "model", classes=parts)
    assert isinstance(loaded.rule_, Strict)
    assert (loaded.predict(matrix()) == detector.predict(matrix())).all()
    for place in range(len(parts)):
        with pytest.raises(ModelFileError, match=parts[place].__name__):
            latently.load(tmp_path / "model", classes=[*parts[:place], *parts[place + 1 :]])


def test_a_class_with_the_name_of_one_of_latently_is_not_taken_for_it(tmp_path):
    @dataclass
    class Masking:
        def __call__(self, values, observed):
            return values, observed

    saved(tmp_path, corruption=Masking())
    with pytest.raises(ModelFileError, match="not latently's"):
        latently.load(tmp_path / "model")
    loaded = latently.load(tmp_path / "model", classes=[Masking])
    assert type(loaded.corruption) is Masking


@pytest.mark.parametrize(
    ("classes", "words"),
    [
        ([Shift(1)], "hold classes"),
        ([Shift, Shift], "one name twice"),
        (Shift, "must be a list"),
    ],
)
def test_what_is_no_class_is_refused(classes, words, tmp_path):
    saved(tmp_path)
    with pytest.raises(ParameterError, match=words):
        latently.load(tmp_path / "model", classes=classes)
