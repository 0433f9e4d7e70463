"""Facts of every kind of model go through JSON and into a page."""

from __future__ import annotations

import json

import numpy as np
import pyarrow as pa
import pytest

import latently
from latently.datasets import make_transactions

FAST = {"n_components": 2, "max_epochs": 1, "random_state": 0}
TABLE = make_transactions(80, random_state=0).data
MATRIX = np.random.default_rng(0).normal(size=(60, 4))
IMAGES = np.random.default_rng(0).integers(0, 256, (30, 8, 8, 3), dtype=np.uint8)

_CASES = {
    "array": (latently.Autoencoder(**FAST), MATRIX),
    "table": (latently.VariationalAutoencoder(**FAST), TABLE),
    "sparse": (latently.SparseAutoencoder(**FAST), MATRIX),
    "denoising": (latently.DenoisingAutoencoder(**FAST), TABLE),
    "images": (latently.ConvolutionalAutoencoder(**FAST), IMAGES),
    "detector": (latently.AnomalyDetector(autoencoder=latently.Autoencoder(**FAST)), TABLE),
    "imputer": (latently.AutoencoderImputer(autoencoder=latently.Autoencoder(**FAST)), TABLE),
    "sampler": (
        latently.LatentSampler(autoencoder=latently.VariationalAutoencoder(**FAST)),
        MATRIX,
    ),
    "denoiser": (
        latently.AutoencoderDenoiser(autoencoder=latently.ConvolutionalAutoencoder(**FAST)),
        IMAGES,
    ),
}


@pytest.mark.parametrize("name", _CASES)
def test_facts_equal_the_attributes_and_survive_json(name: str) -> None:
    # Given
    estimator, X = _CASES[name]
    model = estimator.fit(X)
    inner = getattr(model, "autoencoder_", model)
    # When
    facts = latently.inspect(model)
    plain = json.loads(json.dumps(facts.to_dict(), allow_nan=False))
    # Then
    assert plain["name"] == type(model).__name__
    assert plain["n_components"] == inner.n_components_ == 2
    assert plain["n_weights"] == sum(weights.numel() for weights in inner.module_.parameters())
    assert plain["training"]["best_step"] == inner.history_.best_step
    assert (plain["autoencoder"] is None) == (inner is model)
    assert plain["parameters"].keys() == model.get_params(deep=False).keys()
    assert str(facts).splitlines()[0].startswith(type(model).__name__)


def test_columns_show_the_types_of_the_table() -> None:
    columns = latently.inspect(latently.Autoencoder(**FAST).fit(TABLE)).columns
    kinds = {column.name: column.kind for column in columns}
    assert kinds["merchant"] == str(pa.string()) and "timestamp" in kinds["timestamp"]


def test_colours_count_as_columns_of_the_input() -> None:
    facts = latently.inspect(latently.ConvolutionalAutoencoder(**FAST).fit(IMAGES))
    assert facts.n_columns == 8 * 8 * 3
    assert facts.input == "images of 8 x 8 pixels, 3 channels, uint8"
