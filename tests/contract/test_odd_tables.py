"""Every method accepts odd tables or raises a clear error, without warnings of other packages."""

import contextlib
import warnings

import numpy as np
import pandas as pd
import pytest

from latently import (
    AnomalyDetector,
    Autoencoder,
    AutoencoderImputer,
    ImputationAutoencoder,
    LatentSampler,
    NeighborAutoencoder,
    VariationalAutoencoder,
    compare,
)
from latently.exceptions import LatentlyError, LatentlyWarning
from latently.inspection import check, describe_latents, inspect

N_ROWS = 40
RNG = np.random.default_rng(0)
NORMAL = RNG.normal(size=(N_ROWS, 3))
TABLES = {
    "constant": np.full((N_ROWS, 3), 5.0),
    "all missing": np.full((N_ROWS, 3), np.nan),
    "one row": NORMAL[:1],
    "two rows": NORMAL[:2],
    "two equal rows": np.ones((2, 2)),
    "huge": NORMAL * 1e200,
    "tiny": NORMAL * 1e-300,
    "denormal": np.full((N_ROWS, 2), 5e-324) * RNG.integers(0, 9, (N_ROWS, 2)),
    "far from zero": 1e15 + RNG.integers(0, 3, (N_ROWS, 2)).astype(float),
    "one value": np.where(np.arange(3 * N_ROWS).reshape(-1, 3) == 4, 1.0, np.nan),
    "empty rows": np.where(np.arange(N_ROWS)[:, None] < 3, np.nan, NORMAL),
    "truths": NORMAL > 0,
    "large whole numbers": RNG.integers(-(2**62), 2**62, (N_ROWS, 2)),
    "unlike scales": NORMAL * [1e-200, 1, 1e200],
    "one value of each kind": pd.DataFrame(
        {"a": "x", "b": True, "c": pd.Timestamp("2024"), "d": pd.Timedelta(0)}, index=range(N_ROWS)
    ),
    "no value of any kind": pd.DataFrame(
        {
            "text": pd.Series([None] * N_ROWS, dtype=object),
            "time": pd.Series([pd.NaT] * N_ROWS),
            "category": pd.Categorical([None] * N_ROWS, ["x", "y"]),
            "ordered": pd.Categorical([None] * N_ROWS, ["x", "y"], ordered=True),
            "no levels": pd.Categorical([None] * N_ROWS),
            "no order": pd.Categorical([None] * N_ROWS, ordered=True),
        }
    ),
    "a text in each row": pd.DataFrame({"t": [f"r{i}" for i in range(N_ROWS)], "x": NORMAL[:, 0]}),
}
MODELS = {
    "plain": Autoencoder(1, max_epochs=1, random_state=0),
    "variational": VariationalAutoencoder(1, max_epochs=1, random_state=0),
    "masked": ImputationAutoencoder(8, n_trees=4, max_epochs=1, random_state=0),
    "memory": NeighborAutoencoder(random_state=0),
    "detector": AnomalyDetector(random_state=0),
    "imputer": AutoencoderImputer(
        autoencoder=ImputationAutoencoder(8, n_trees=4, max_epochs=1), random_state=0
    ),
    "sampler": LatentSampler(autoencoder=Autoencoder(1, max_epochs=1), random_state=0),
}
ANSWERS = (
    "transform", "reconstruct", "score_samples", "reconstruction_error", "predict", "explain",
    "p_values", "interval",
)  # fmt: skip


@pytest.fixture(autouse=True)
def _only_own_warnings():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", LatentlyWarning)
        yield


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize("name", MODELS)
def test_a_model_of_an_odd_table_answers_or_refuses(name, table):
    X, model = TABLES[table], MODELS[name]
    try:
        model.fit(X)
    except LatentlyError:
        return
    for method in ANSWERS:
        if hasattr(model, method):
            getattr(model, method)(X)
    if hasattr(model, "sample"):
        model.sample(3)
    str(inspect(model))
    for about in (check, describe_latents):
        with contextlib.suppress(LatentlyError):
            str(about(model, X))


@pytest.mark.parametrize("table", TABLES)
def test_an_odd_table_beside_itself_is_compared_or_refused(table):
    X = TABLES[table]
    with contextlib.suppress(LatentlyError):
        assert "nan" not in str(compare(X, X))
