"""Parts that the user wrote are saved by name, and loaded from the classes that are handed in."""

import pickle
from dataclasses import dataclass
from functools import partial

import numpy as np
import pyarrow as pa
import pytest
from sklearn.base import BaseEstimator, clone
from sklearn.model_selection import KFold, ShuffleSplit
from torch import nn
from typer.testing import CliRunner

import latently
from latently import AnomalyDetector, Autoencoder, BatchPredictor, FalseAlarmRate
from latently.cli._app import app
from latently.estimators import TrainedAutoencoder
from latently.exceptions import ModelFileError, ParameterError
from latently.io._model_file import read_model, write_model
from latently.nn import Code, CustomNetwork, DenseNetwork
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


MODULES = CustomNetwork(nn.Linear(matrix().shape[1], 2), nn.Linear(2, matrix().shape[1]))


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


def test_modules_that_are_not_handed_in_are_asked_for(tmp_path):
    saved(tmp_path, corruption=brighter, network=MODULES)
    wanted = r"brighter, modules of your own.*classes=\[brighter\], network=CustomNetwork"
    with pytest.raises(ModelFileError, match=wanted):
        latently.load(tmp_path / "model")


def test_all_parts_that_are_not_handed_in_are_named_at_once(tmp_path):
    saved(tmp_path, corruption=brighter, network=Narrow(4))
    with pytest.raises(ModelFileError, match=r"classes=\[Narrow, brighter\]"):
        latently.load(tmp_path / "model")


@pytest.mark.parametrize("name", ["~\x1b[31m", "~a b", "~"])
def test_a_part_whose_name_is_none_is_refused(name, tmp_path):
    saved(tmp_path, corruption=brighter)
    config, arrays = read_model(tmp_path / "model")
    config["params"]["corruption"] = {"~function": name}
    write_model(tmp_path / "forged", config, arrays)
    with pytest.raises(ModelFileError, match="by something else than a name"):
        latently.load(tmp_path / "forged")


@pytest.mark.parametrize(
    ("model", "given"),
    [
        (RoundedAutoencoder(n_components=2, **QUICK), {"classes": [RoundedAutoencoder]}),
        (Autoencoder(2, network=MODULES, **QUICK), {"network": MODULES}),
    ],
    ids=["classes", "network"],
)
def test_a_batch_predictor_sends_the_parts_to_the_process_that_answers(model, given, tmp_path):
    X = matrix()
    model = clone(model).fit(X)
    model.save(tmp_path / "model")
    predictor = BatchPredictor(tmp_path / "model", "transform", **given)
    sent = pickle.loads(pickle.dumps(predictor))  # noqa: S301  # of this test
    codes = sent(pa.table({f"x{i}": column for i, column in enumerate(X.T)}))
    assert (np.column_stack(codes.columns) == model.transform(X)).all()


@pytest.mark.parametrize("command", ["inspect", "score", "transform", "reconstruct"])
def test_the_command_line_says_in_one_sentence_how_python_loads_such_a_model(
    command, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)  # a message shortens long paths
    X = matrix()
    RoundedAutoencoder(n_components=2, **QUICK).fit(X).save("model")
    np.save("rows.npy", X)
    rows = [] if command == "inspect" else ["rows.npy"]
    result = CliRunner().invoke(app, [command, "model", *rows])
    assert result.exit_code == 4 and result.stdout == ""
    assert result.stderr == (
        "error: model: it was saved with RoundedAutoencoder, which is not latently's: "
        "load it in Python, by latently.load(path, classes=[RoundedAutoencoder]).\n"
    )


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


@dataclass
class Late(FalseAlarmRate):
    delay: "Unknown" = 0.5  # noqa: F821  # a type that cannot be found


FORGED = {
    "weight": lambda c, a: put(a, "encoder.1.weight", 1e38),
    "center": lambda c, a: put(a, "weights.center", 1e38),
    "size": lambda c, a: c["fitted"].update(n_components_=10**9),
    "scale": lambda c, a: put(a, "preprocessor_.scale", 1e-320),
}


def put(arrays, ending, value):
    name = next(name for name in sorted(arrays) if name.endswith(ending))
    arrays[name] = np.full_like(arrays[name], value)


@pytest.mark.parametrize("case", FORGED)
@pytest.mark.parametrize(
    ("model", "given"),
    [
        (RoundedAutoencoder(n_components=2, **QUICK), [RoundedAutoencoder]),
        (Autoencoder(2, network=Narrow(4), **QUICK), [Narrow]),
    ],
    ids=["class", "network"],
)
def test_what_needs_no_part_of_the_users_own_is_checked(model, given, case, tmp_path):
    clone(model).fit(matrix()).save(tmp_path / "model")
    config, arrays = read_model(tmp_path / "model")
    FORGED[case](config, arrays)
    write_model(tmp_path / "forged", config, arrays)
    with pytest.raises(ModelFileError):
        latently.load(tmp_path / "forged", classes=given)


def test_fields_that_a_rule_of_the_users_own_takes_over_are_checked(tmp_path):
    autoencoder = Autoencoder(2, **QUICK)
    detector = AnomalyDetector(autoencoder=autoencoder, threshold=Late(0.1)).fit(matrix())
    detector.save(tmp_path / "model")
    assert latently.load(tmp_path / "model", classes=[Late]).rule_.delay == 0.5
    config, arrays = read_model(tmp_path / "model")
    config["fitted"]["rule_"]["params"]["rate"] = "often"
    write_model(tmp_path / "forged", config, arrays)
    with pytest.raises(ModelFileError, match="'rate' parameter of Late"):
        latently.load(tmp_path / "forged", classes=[Late])


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
