"""A loaded model gives the results of the saved one."""

import copy

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from torch import nn

from latently import (
    AnomalyDetector,
    Autoencoder,
    AutoencoderDenoiser,
    AutoencoderImputer,
    CustomNetwork,
    FeatureExtractor,
    GaussianNoise,
    LocalEngine,
    Masking,
    NeighborAutoencoder,
    VariationalAutoencoder,
    load,
)
from latently.exceptions import ModelFileError, NotFittedError, OutputExistsError
from latently.io._model_file import read_model, write_model
from tests.contract.estimators import (
    AUTOENCODERS,
    ESTIMATORS,
    IMAGE_AUTOENCODERS,
    OF_IMAGES,
    load_own,
)
from tests.contract.samples import (
    LIBRARIES,
    answers,
    assert_same_answers,
    columns,
    matrix,
    same,
    stack,
    transactions,
)

pytestmark = pytest.mark.long

QUICK = {"max_epochs": 1, "random_state": 0, "engine": "cpu"}


def saved_and_loaded(model, folder, **options):
    model.save(folder / "model.safetensors")
    return load_own(folder / "model.safetensors", **options)


@pytest.mark.filterwarnings("ignore::latently.exceptions.LatentlyWarning")
@pytest.mark.parametrize("estimator", ESTIMATORS, ids=str)
@pytest.mark.parametrize("n_rows", [4, 12, 60])
def test_a_model_of_few_rows_and_rarely_observed_columns_is_loaded(estimator, n_rows, tmp_path):
    X = matrix(n_rows)
    X[2:, 0], X[:, 1] = np.nan, np.nan
    fitted = clone(estimator).fit(X)
    assert_same_answers(fitted, saved_and_loaded(fitted, tmp_path), X)


@pytest.mark.parametrize("estimator", ESTIMATORS, ids=str)
def test_a_loaded_model_answers_bit_for_bit(estimator, tmp_path):
    X = matrix()
    fitted = clone(estimator).fit(X)
    loaded = saved_and_loaded(fitted, tmp_path)
    assert type(loaded) is type(fitted)
    assert_same_answers(fitted, loaded, X)
    assert_same_answers(fitted, loaded, X.astype(np.float32))


@pytest.mark.parametrize("estimator", [*IMAGE_AUTOENCODERS, *OF_IMAGES], ids=str)
def test_a_loaded_model_of_images_answers_bit_for_bit(estimator, tmp_path):
    images = stack(24, 5, 6, 3, dtype="uint8")
    fitted = clone(estimator).fit(images)
    assert_same_answers(fitted, saved_and_loaded(fitted, tmp_path), images)


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize("estimator", ESTIMATORS, ids=str)
def test_a_loaded_model_of_a_mixed_table_answers_bit_for_bit(estimator, library, tmp_path):
    table = transactions(library)
    fitted = clone(estimator).fit(table)
    loaded = saved_and_loaded(fitted, tmp_path)
    assert_same_answers(fitted, loaded, table)
    assert list(loaded.feature_names_in_) == list(fitted.feature_names_in_)


@pytest.mark.parametrize("estimator", [*ESTIMATORS, *IMAGE_AUTOENCODERS], ids=str)
def test_a_loaded_model_has_the_parameters_of_the_saved_one(estimator, tmp_path):
    X = stack(24, 4, 4) if estimator in IMAGE_AUTOENCODERS else matrix()
    fitted = clone(estimator).fit(X)
    loaded = saved_and_loaded(fitted, tmp_path)
    # Where to compute is set anew for each process.
    for name in set(loaded.get_params()) & {"engine", "autoencoder__engine"}:
        assert loaded.get_params()[name] == "auto"
        loaded.set_params(**{name: fitted.get_params()[name]})
    assert repr(loaded) == repr(fitted)
    assert str(loaded.get_params()) == str(fitted.get_params())
    assert repr(clone(loaded)) == repr(clone(fitted))


@pytest.mark.parametrize("estimator", AUTOENCODERS, ids=str)
def test_a_loaded_autoencoder_knows_how_it_was_trained(estimator, tmp_path):
    fitted = clone(estimator).fit(matrix())
    loaded = saved_and_loaded(fitted, tmp_path)
    assert loaded.history_ == fitted.history_
    assert loaded.baselines_ == fitted.baselines_
    assert loaded.summary() == fitted.summary()
    assert loaded.interrupted_ is False


@pytest.mark.parametrize("estimator", ESTIMATORS, ids=str)
def test_saving_twice_writes_the_same_bytes(estimator, tmp_path):
    fitted = clone(estimator).fit(matrix())
    for name in ("a", "b"):
        fitted.save(tmp_path / name)
    load_own(tmp_path / "a").save(tmp_path / "c")
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert (tmp_path / "a").read_bytes() == (tmp_path / "c").read_bytes()


@pytest.mark.parametrize("estimator", ESTIMATORS, ids=str)
def test_an_unfitted_model_is_not_saved(estimator, tmp_path):
    with pytest.raises(NotFittedError):
        clone(estimator).save(tmp_path / "m")
    assert not (tmp_path / "m").exists()


def test_a_model_is_not_overwritten_when_asked(tmp_path):
    fitted = Autoencoder(2, **QUICK).fit(matrix())
    fitted.save(tmp_path / "m")
    with pytest.raises(OutputExistsError):
        fitted.save(tmp_path / "m", overwrite=False)


@pytest.mark.parametrize(
    "change",
    [
        {"corruption": Masking(0.3)},
        {"corruption": GaussianNoise(0.2)},
        {"gradient_clip": None, "patience": None, "validation_fraction": 0.0},
        {"random_state": None, "max_epochs": 1},
        {"n_components": np.int64(3), "learning_rate": np.float64(0.01)},
    ],
    ids=str,
)
def test_every_kind_of_parameter_survives(change, tmp_path):
    fitted = Autoencoder(**{**QUICK, **change}).fit(matrix())
    loaded = saved_and_loaded(fitted, tmp_path)
    fitted.set_params(engine="auto")
    assert {name: str(value) for name, value in loaded.get_params().items()} == {
        name: str(value) for name, value in fitted.get_params().items()
    }


@pytest.mark.parametrize("engine", ["cpu", LocalEngine("cpu", precision="float32")], ids=str)
def test_where_a_model_computes_and_what_it_prints_is_not_part_of_it(engine, tmp_path, capsys):
    fitted = Autoencoder(2, **{**QUICK, "engine": engine, "verbose": True}).fit(matrix())
    plain = Autoencoder(2, **QUICK).fit(matrix())
    loaded = saved_and_loaded(AnomalyDetector(autoencoder=fitted).fit(matrix()), tmp_path)
    for model in (loaded.autoencoder, loaded.autoencoder_):
        assert (model.engine, model.verbose) == ("auto", False)
    fitted.save(tmp_path / "one")
    plain.save(tmp_path / "other")
    assert (tmp_path / "one").read_bytes() == (tmp_path / "other").read_bytes()


def test_a_random_state_object_is_not_written_down(tmp_path):
    fitted = Autoencoder(2, max_epochs=1, random_state=np.random.RandomState(0)).fit(matrix())
    loaded = saved_and_loaded(fitted, tmp_path)
    assert loaded.random_state is None
    assert_same_answers(fitted, loaded, matrix())


def custom_network():
    return CustomNetwork(nn.Linear(5, 2), nn.Linear(2, 5))


@pytest.mark.parametrize(
    "wrap", [lambda model: model, lambda model: AnomalyDetector(autoencoder=model)]
)
def test_a_custom_network_must_be_handed_to_load(wrap, tmp_path):
    fitted = wrap(Autoencoder(2, network=custom_network(), **QUICK)).fit(matrix())
    fitted.save(tmp_path / "m")
    with pytest.raises(ModelFileError, match="network") as caught:
        load(tmp_path / "m")
    assert caught.value.reason == "config" and len(str(caught.value)) <= 300
    assert_same_answers(fitted, load(tmp_path / "m", network=custom_network()), matrix())


@pytest.mark.parametrize(
    "network",
    [
        CustomNetwork(nn.Linear(4, 2), nn.Linear(2, 4)),
        CustomNetwork(nn.Linear(5, 2, bias=False), nn.Linear(2, 5)),
    ],
)
def test_another_custom_network_than_the_saved_one_is_refused(network, tmp_path):
    Autoencoder(2, network=custom_network(), **QUICK).fit(matrix()).save(tmp_path / "m")
    with pytest.raises(ModelFileError) as caught:
        load(tmp_path / "m", network=network)
    assert caught.value.reason == "config"


@pytest.mark.parametrize("library", LIBRARIES)
def test_categories_dates_and_their_types_survive(library, tmp_path):
    table = transactions(library)
    fitted = Autoencoder(2, **QUICK).fit(table)
    loaded = saved_and_loaded(fitted, tmp_path)
    assert loaded.preprocessor_.spec == fitted.preprocessor_.spec
    assert loaded.preprocessor_.codecs == fitted.preprocessor_.codecs
    assert same(loaded.reconstruct(table), fitted.reconstruct(table))


def test_categories_that_are_numbers_or_truths_survive(tmp_path):
    table = pd.DataFrame(
        {
            "whole": pd.Categorical(np.arange(60) % 3),
            "real": pd.Categorical((np.arange(60) % 2) + 0.5),
            "size": pd.Categorical(np.arange(60) % 3, categories=[2, 0, 1], ordered=True),
            "truth": np.arange(60) % 2 == 0,
        }
    )
    fitted = Autoencoder(2, **QUICK).fit(table)
    loaded = saved_and_loaded(fitted, tmp_path)
    assert_same_answers(fitted, loaded, table)
    assert loaded.reconstruct(table).dtypes.equals(table.dtypes)


@pytest.mark.parametrize(
    "name", ["€", "a.b", "a/b", "weights", "~class", " ", "x" * 300, "line\nbreak"], ids=ascii
)
def test_any_column_name_survives(name, tmp_path):
    table = pd.DataFrame({name: np.arange(40.0), "other": np.arange(40.0) ** 2})
    fitted = Autoencoder(1, **QUICK).fit(table)
    assert list(columns(saved_and_loaded(fitted, tmp_path).reconstruct(table))) == [name, "other"]


@pytest.mark.parametrize("task", [FeatureExtractor, AutoencoderImputer, AutoencoderDenoiser])
def test_a_task_around_a_fitted_autoencoder_survives(task, tmp_path):
    X = matrix()
    fitted = task(autoencoder=Autoencoder(2, **QUICK).fit(X)).fit(X)
    assert_same_answers(fitted, saved_and_loaded(fitted, tmp_path), X)


def test_a_loaded_model_can_be_fitted_again(tmp_path):
    fitted = Autoencoder(2, **QUICK).fit(matrix())
    again = saved_and_loaded(fitted, tmp_path).fit(matrix(seed=1))
    assert_same_answers(again, clone(fitted).fit(matrix(seed=1)), matrix(seed=1))


def test_a_loaded_model_can_be_trained_further(tmp_path):
    fitted = Autoencoder(2, **QUICK).partial_fit(matrix())
    loaded = saved_and_loaded(fitted, tmp_path)
    before = answers(loaded, matrix())
    loaded.partial_fit(matrix())
    assert not same(loaded.transform(matrix()), before["transform"])


@pytest.mark.parametrize(
    "model", [NeighborAutoencoder(random_state=0), AnomalyDetector(random_state=0)], ids=str
)
def test_a_nightly_job_learns_as_if_it_had_never_stopped(model, tmp_path):
    # Given: one model that stays in memory, and one that is saved and loaded before each night.
    staying = clone(model).fit(matrix())
    nightly = saved_and_loaded(staying, tmp_path)
    for night in (1, 2, 3):
        staying.partial_fit(matrix(seed=night))
        nightly = saved_and_loaded(nightly, tmp_path).partial_fit(matrix(seed=night))
    assert_same_answers(staying, nightly, matrix(seed=4))


def test_a_loaded_network_trains_as_the_saved_one(tmp_path):
    fitted = Autoencoder(2, **QUICK).fit(matrix())
    loaded = saved_and_loaded(fitted, tmp_path).partial_fit(matrix(seed=1))
    assert_same_answers(fitted.partial_fit(matrix(seed=1)), loaded, matrix(seed=2))


# ---------------------------------------------------------------- files that are not to be trusted
def rewritten(folder, change, model=None):
    """Save a model, change its configuration, and write it as a sound file again."""
    fitted = (model or Autoencoder(2, **QUICK)).fit(transactions("pandas"))
    fitted.save(folder / "sound")
    config, arrays = read_model(folder / "sound")
    config = copy.deepcopy(config)
    change(config, arrays)
    write_model(folder / "changed", config, arrays)
    return folder / "changed"


def set_at(*keys, to):
    def change(config, arrays):
        for key in keys[:-1]:
            config = config[key]
        config[keys[-1]] = to

    change.__name__ = f"{'.'.join(keys)}={to}"
    return change


IMPOSSIBLE_NETWORK = {"~class": "DenseNetwork", "params": {"dropout": 9}}


def drop_array(config, arrays):
    arrays.pop(min(arrays))


def reshape_weights(config, arrays):
    name = next(name for name in arrays if name.endswith("encoder.1.weight"))
    arrays[name] = arrays[name].T.copy()


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (set_at("~class", to="Trojan"), "class"),
        (set_at("~class", to="dict"), "class"),
        (set_at("~class", to="os.system"), "class"),
        (set_at("~class", to=["Autoencoder"]), "config"),
        (set_at("~class", to=None), "class"),
        (set_at("~class", to="Masking"), "config"),
        (set_at("fitted", "preprocessor_", "~class", to="DenseNetwork"), "config"),
        (set_at("fitted", "preprocessor_", "~class", to="ImagePreprocessor"), "config"),
        (set_at("fitted", "preprocessor_", to=None), "config"),
        (set_at("fitted", "preprocessor_", to=7), "config"),
        (set_at("fitted", "n_components_", to="two"), "config"),
        (set_at("fitted", "n_components_", to=-1), "config"),
        (set_at("fitted", "n_components_", to=3), "shape"),
        (set_at("fitted", "n_features_in_", to="many"), "config"),
        (set_at("fitted", "history_", to=[]), "config"),
        (set_at("fitted", "weights", to=3), "config"),
        (set_at("fitted", to=[]), "config"),
        (set_at("fitted", to={}), "config"),
        (set_at("params", to=[]), "config"),
        (set_at("params", "surprise", to=1), "config"),
        (set_at("params", "n_components", to="two"), "config"),
        (set_at("params", "max_epochs", to=-1), "config"),
        (set_at("params", "network", to=3), "config"),
        (set_at("params", "network", to={"~tuple": 3}), "config"),
        (set_at("params", "network", to={"~array": ["a"]}), "config"),
        (set_at("params", "network", to={"~float": "one"}), "config"),
        (set_at("params", "network", to={"~pickle": "gASV"}), "config"),
        (set_at("params", "network", to={}), "config"),
        (set_at("params", "network", to=IMPOSSIBLE_NETWORK), "config"),
        (drop_array, "tensor_missing"),
        (reshape_weights, "shape"),
    ],
    ids=lambda value: getattr(value, "__name__", value),
)  # fmt: skip
def test_a_configuration_that_does_not_fit_is_refused_with_a_reason(change, reason, tmp_path):
    path = rewritten(tmp_path, change)
    with pytest.raises(ModelFileError) as caught:
        load(path)
    assert caught.value.reason == reason
    assert path.name in str(caught.value)


@pytest.mark.parametrize("wrong", ["two", None, [1], {"~class": "Masking", "params": {}}], ids=str)
@pytest.mark.parametrize("key", ["autoencoder_", "offset_"])
def test_a_task_with_a_swapped_part_is_refused(key, wrong, tmp_path):
    task = AnomalyDetector(autoencoder=Autoencoder(2, **QUICK))
    path = rewritten(tmp_path, set_at("fitted", key, to=wrong), task)
    with pytest.raises(ModelFileError) as caught:
        load(path)
    assert caught.value.reason == "config"


@pytest.mark.parametrize(
    "config",
    [
        {},
        {"~class": "Masking", "params": {"rate": 0.5}},
        {"~class": "DenseNetwork", "params": {}},
        {"~class": "Layout", "params": {"shape": [1], "blocks": []}},
        {"~class": "Autoencoder", "params": {}},
        {"~class": "AnomalyDetector"},
        {"~tuple": []},
        {"~foreign": "Autoencoder"},
    ],
    ids=str,
)
def test_a_sound_file_without_a_fitted_model_is_refused(config, tmp_path):
    write_model(tmp_path / "m", config, {})
    with pytest.raises(ModelFileError) as caught:
        load(tmp_path / "m")
    assert caught.value.reason in {"class", "config"}


def test_nothing_is_executed_for_a_class_outside_the_list(tmp_path):
    write_model(
        tmp_path / "m",
        {"~class": "VariationalAutoencoder", "params": {"beta": {"~class": "exit"}}},
        {},
    )
    with pytest.raises(ModelFileError, match="unknown class 'exit'") as caught:
        load(tmp_path / "m")
    assert caught.value.reason == "class"


def test_a_variational_model_scores_and_draws_as_before(tmp_path):
    fitted = VariationalAutoencoder(2, corruption=Masking(0.2), beta=4.0, **QUICK).fit(
        transactions("polars")
    )
    loaded = saved_and_loaded(fitted, tmp_path)
    assert same(loaded.score_samples(transactions("polars"), n_draws=3),
                fitted.score_samples(transactions("polars"), n_draws=3))  # fmt: skip
    assert loaded.sample(20, random_state=5).equals(fitted.sample(20, random_state=5))
