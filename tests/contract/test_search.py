"""Models work in pipelines, grids and cross-validation, with frozen and fitted parts."""

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, StratifiedKFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from latently import (
    AnomalyDetector,
    Autoencoder,
    AutoencoderDenoiser,
    AutoencoderImputer,
    ConvNetwork,
    DenoisingAutoencoder,
    DenseNetwork,
    FeatureExtractor,
    GaussianNoise,
    LatentSampler,
    Masking,
    VariationalAutoencoder,
)
from latently.exceptions import DataError, ParameterError
from tests.contract.estimators import AUTOENCODERS, ESTIMATORS
from tests.contract.samples import matrix, same, stack

QUICK = {"random_state": 0, "engine": "cpu"}
TASK_CLASSES = [
    AnomalyDetector,
    AutoencoderDenoiser,
    AutoencoderImputer,
    FeatureExtractor,
    LatentSampler,
]


@pytest.fixture(scope="module")
def iris():
    return load_iris(return_X_y=True)


@pytest.mark.parametrize("model", AUTOENCODERS, ids=str)
def test_a_pipeline_scales_encodes_and_classifies(model, iris):
    X, y = iris
    encoder = clone(model).set_params(max_epochs=20)
    pipeline = make_pipeline(StandardScaler(), encoder, LogisticRegression(max_iter=1000)).fit(X, y)
    assert pipeline.score(X, y) > 0.6
    names = pipeline[:-1].get_feature_names_out()
    assert list(names) == [f"{type(model).__name__.lower()}{i}" for i in range(len(names))]


def test_a_nested_grid_search_over_hidden_sizes_runs_on_two_jobs(iris):
    X, y = iris
    model = VariationalAutoencoder(2, network=DenseNetwork(), max_epochs=2, **QUICK)
    pipeline = make_pipeline(StandardScaler(), model, LogisticRegression(max_iter=1000))
    grid = {"variationalautoencoder__network__hidden_sizes": [(8,), (8, 4)]}
    searches = [GridSearchCV(pipeline, grid, cv=2, n_jobs=n_jobs).fit(X, y) for n_jobs in (1, 2)]
    scores = [search.cv_results_["mean_test_score"] for search in searches]
    assert same(*scores)
    best = searches[1].best_estimator_[1]
    assert best.network.hidden_sizes == searches[1].best_params_[next(iter(grid))]


@pytest.mark.parametrize(
    ("grid", "expected"),
    [
        ({"corruption__fraction": [0.1, 0.5]}, 2),
        ({"corruption": [None, Masking(0.3), GaussianNoise(0.2)]}, 3),
        ({"network": [DenseNetwork(()), DenseNetwork((4,), activation="tanh")]}, 2),
        ({"n_components": [1, 2], "batch_size": [16, 32]}, 4),
    ],
)
def test_any_part_can_be_searched_by_the_score_of_the_rows(grid, expected):
    model = DenoisingAutoencoder(
        2, corruption=Masking(), network=DenseNetwork((4,)), max_epochs=1, **QUICK
    )

    def normality(fitted, X, y=None):
        return fitted.score_samples(X).mean()

    search = GridSearchCV(model, grid, scoring=normality, cv=2).fit(matrix())
    assert len(search.cv_results_["params"]) == expected
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()


def test_more_components_score_better_in_a_search():
    X = matrix(200, noise=0.01)
    model = Autoencoder(network=DenseNetwork(()), max_epochs=150, learning_rate=0.02, **QUICK)

    def normality(fitted, X, y=None):
        return fitted.score_samples(X).mean()

    search = GridSearchCV(model, {"n_components": [1, 2]}, scoring=normality, cv=2).fit(X)
    assert search.best_params_ == {"n_components": 2}


@pytest.mark.parametrize("model", AUTOENCODERS, ids=str)
def test_every_autoencoder_is_cross_validated_by_its_own_score(model):
    scores = cross_val_score(clone(model), matrix(60), cv=3)
    assert scores.shape == (3,)
    assert (scores <= 1).all()


def test_the_score_is_the_share_of_the_variation_that_is_rebuilt():
    X, new = matrix(200), matrix(50, seed=1)
    model = Autoencoder(2, validation_fraction=0.0, max_epochs=20, **QUICK).fit(X)
    spread = X.std(0)
    left = np.square((model.reconstruct(new) - new) / spread).sum()
    assert model.score(new) == pytest.approx(
        1 - left / np.square((new - X.mean(0)) / spread).sum(), abs=1e-5
    )


def test_rows_rebuilt_as_the_mean_score_zero_and_missing_cells_do_not_count():
    X = matrix(100)
    model = Autoencoder(2, validation_fraction=0.0, max_epochs=1, **QUICK).fit(X)
    for weight in model.module_.decoder[-1].parameters():
        weight.data.zero_()
    assert model.score(X) == pytest.approx(0, abs=1e-6)
    gaps = X.copy()
    gaps[::2, 0] = np.nan
    assert model.score(gaps) == pytest.approx(0, abs=1e-6)


def test_a_search_without_a_scoring_takes_the_score_and_finds_the_larger_code():
    model = Autoencoder(network=DenseNetwork(()), max_epochs=150, learning_rate=0.02, **QUICK)
    search = GridSearchCV(model, {"n_components": [1, 2]}, cv=2).fit(matrix(200, noise=0.01))
    assert search.best_params_ == {"n_components": 2}


def test_features_are_cross_validated_with_a_classifier(iris):
    X, y = iris
    extractor = FeatureExtractor(
        autoencoder=Autoencoder(3, max_epochs=20), include_error=True, random_state=0
    )
    pipeline = make_pipeline(extractor, LogisticRegression(max_iter=1000))
    scores = cross_val_score(pipeline, X, y, cv=3)
    assert scores.shape == (3,)
    assert scores.min() > 0.6


def test_a_detector_is_searched_by_its_own_labels():
    X = np.vstack([matrix(90), 30 + matrix(10, seed=1)])
    y = np.repeat([1, -1], [90, 10])
    detector = AnomalyDetector(autoencoder=Autoencoder(2, max_epochs=1), random_state=0)
    grid = {"contamination": [0.1, 0.5], "autoencoder__n_components": [1, 2]}
    halves = StratifiedKFold(2, shuffle=True, random_state=0)
    search = GridSearchCV(detector, grid, scoring="balanced_accuracy", cv=halves).fit(X, y)
    assert search.best_params_["contamination"] in (0.1, 0.5)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()


# ---------------------------------------------------------------- parts that are fitted already
@pytest.mark.parametrize("wrap", [lambda model: model, FrozenEstimator], ids=["fitted", "frozen"])
@pytest.mark.parametrize("task", TASK_CLASSES)
def test_a_fitted_autoencoder_is_taken_as_it_is(task, wrap):
    X = matrix()
    inner = Autoencoder(2, max_epochs=1, **QUICK).fit(X)
    codes, module = inner.transform(X), inner.module_
    fitted = task(autoencoder=wrap(inner), random_state=9).fit(matrix(seed=4))
    assert fitted.autoencoder_.module_ is module
    assert inner.random_state == 0
    assert same(fitted.autoencoder_.transform(X), codes)


@pytest.mark.parametrize("task", TASK_CLASSES)
def test_a_frozen_autoencoder_survives_a_clone_of_its_task(task):
    X = matrix()
    inner = Autoencoder(2, max_epochs=1, **QUICK).fit(X)
    copied = clone(task(autoencoder=FrozenEstimator(inner))).fit(matrix(seed=4))
    assert same(copied.autoencoder_.transform(X), inner.transform(X))


@pytest.mark.parametrize("task", TASK_CLASSES)
def test_an_unfitted_autoencoder_is_copied_before_it_is_trained(task):
    inner = Autoencoder(2, max_epochs=1, **QUICK)
    fitted = task(autoencoder=inner).fit(matrix())
    assert fitted.autoencoder_ is not inner
    assert not hasattr(inner, "module_")


@pytest.mark.parametrize("task", TASK_CLASSES)
def test_a_frozen_autoencoder_refuses_rows_of_another_width(task):
    inner = FrozenEstimator(Autoencoder(2, max_epochs=1, **QUICK).fit(matrix()))
    with pytest.raises(DataError, match="features"):
        task(autoencoder=inner).fit(matrix(n_columns=3))


@pytest.mark.parametrize("task", TASK_CLASSES)
def test_an_unfitted_frozen_autoencoder_is_not_trained_behind_the_callers_back(task):
    inner = Autoencoder(2, max_epochs=1, **QUICK)
    with pytest.raises((ParameterError, ValueError), match=r"(?i)fitted|frozen"):
        task(autoencoder=FrozenEstimator(inner)).fit(matrix())
    assert not hasattr(inner, "module_")


# ---------------------------------------------------------------- parameters
def test_nested_parameters_are_set_and_read():
    task = AnomalyDetector(
        autoencoder=Autoencoder(network=DenseNetwork((8,)), corruption=Masking())
    )
    task.set_params(
        autoencoder__network__hidden_sizes=(3,),
        autoencoder__corruption__fraction=0.4,
        autoencoder__n_components=2,
        contamination=0.2,
    )
    params = task.get_params()
    assert params["autoencoder__network__hidden_sizes"] == (3,)
    assert params["autoencoder__corruption__fraction"] == 0.4
    fitted = task.set_params(autoencoder__max_epochs=1).fit(matrix())
    assert fitted.autoencoder_.module_.encoder[1].out_features == 3


def test_a_whole_part_is_replaced():
    model = Autoencoder(2, network=DenseNetwork(), max_epochs=1, **QUICK)
    model.set_params(network=ConvNetwork((2,)))
    assert model.fit(stack(20, 4, 4)).reconstruct(stack(20, 4, 4)).shape == (20, 4, 4)


@pytest.mark.parametrize("model", ESTIMATORS, ids=str)
def test_a_parameter_that_does_not_exist_is_refused(model):
    with pytest.raises(ValueError, match="Invalid parameter 'n_layers'"):
        clone(model).set_params(n_layers=3)


@pytest.mark.parametrize(
    "wrong",
    [
        {"n_components": 0},
        {"n_components": 1.5},
        {"n_components": "many"},
        {"max_epochs": 0},
        {"batch_size": 0},
        {"batch_size": "huge"},
        {"learning_rate": 0.0},
        {"learning_rate": -1.0},
        {"learning_rate": float("nan")},
        {"weight_decay": -0.1},
        {"gradient_clip": 0.0},
        {"validation_fraction": 1.0},
        {"validation_fraction": -0.1},
        {"patience": 0},
        {"likelihood": "poisson"},
        {"network": "dense"},
        {"network": DenseNetwork},
        {"network": DenseNetwork((0,))},
        {"network": DenseNetwork("wide")},
        {"network": DenseNetwork(8)},
        {"network": DenseNetwork(activation="swoosh")},
        {"network": DenseNetwork(dropout=1.0)},
        {"network": DenseNetwork(normalization="weight")},
        {"corruption": "mask"},
        {"corruption": Masking(1.0)},
        {"corruption": Masking(-0.1)},
        {"corruption": GaussianNoise(-1.0)},
        {"engine": "abacus"},
        {"engine": 3},
        {"random_state": "seed"},
        {"random_state": -1},
        {"verbose": "loud"},
    ],
    ids=str,
)
def test_a_wrong_parameter_is_refused_by_name(wrong):
    with pytest.raises(ParameterError) as caught:
        Autoencoder(**{"max_epochs": 1, **QUICK, **wrong}).fit(matrix())
    assert len(str(caught.value)) <= 300


@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_parameters_are_judged_when_fitting_not_when_made(method):
    model = Autoencoder(n_components=-3)
    with pytest.raises(ParameterError, match="n_components"):
        getattr(model, method)(matrix())
