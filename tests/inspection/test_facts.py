"""``inspect`` tells what is known of a model without its data."""

import dataclasses
import json

import numpy as np
import pytest
from sklearn.datasets import load_digits

import latently
from latently.datasets import make_transactions
from latently.exceptions import NotFittedError


@pytest.fixture(scope="module")
def rows():
    return make_transactions(150).data


@pytest.fixture(scope="module")
def model(rows):
    return latently.Autoencoder(3, max_epochs=2, random_state=0).fit(rows)


def test_sizes_and_training_are_those_of_the_model(model):
    facts = latently.inspect(model)
    assert (facts.name, facts.n_columns, facts.n_components) == ("Autoencoder", 13, 3)
    assert facts.n_weights == sum(weights.numel() for weights in model.module_.parameters())
    assert facts.training.n_steps == model.history_["step"][-1]
    assert facts.training.best_step == model.history_.best_step
    assert facts.training.valid_loss == model.history_["valid_loss"].min()
    assert facts.training.stopped == "finished"


def test_baselines_are_those_of_the_model_with_a_conclusion(model):
    found = latently.inspect(model).baselines
    assert (found.mean, found.pca) == (model.baselines_.mean, model.baselines_.pca)
    assert found.autoencoder == model.baselines_.autoencoder
    assert found.conclusion == model.baselines_.conclusion


def test_columns_come_in_the_order_of_the_table(model, rows):
    columns = latently.inspect(model).columns
    assert [column.name for column in columns] == rows.column_names
    likelihoods = {column.name: column.likelihood for column in columns}
    assert likelihoods["amount"] == "gaussian"
    assert likelihoods["card_present"] == "bernoulli"
    assert likelihoods["merchant"] == "categorical"


def test_the_dictionary_survives_json(model):
    facts = latently.inspect(model).to_dict()
    assert json.loads(json.dumps(facts))["columns"][0]["name"] == "timestamp"
    assert facts["parameters"]["max_epochs"] == 2


def test_a_task_shows_itself_and_its_autoencoder(model, rows):
    detector = latently.AnomalyDetector(autoencoder=model).fit(rows)
    facts = latently.inspect(detector)
    assert facts.name == "AnomalyDetector"
    assert facts.fitted == {"offset_": detector.offset_}
    assert facts.autoencoder.name == "Autoencoder"
    assert facts.autoencoder.parameters["max_epochs"] == 2
    assert str(facts).startswith("AnomalyDetector of Autoencoder\n")


def test_images_are_one_entry(model):
    images = load_digits().images[:40]
    fitted = latently.ConvolutionalAutoencoder(2, max_epochs=1, random_state=0).fit(images)
    facts = latently.inspect(fitted)
    assert facts.n_columns == 64
    assert [column.name for column in facts.columns] == ["pixels"]
    assert "8 x 8" in facts.input


def test_a_saved_model_has_the_same_facts_but_for_the_time_it_took(model, tmp_path):
    model.save(tmp_path / "model.safetensors")
    facts = [
        latently.inspect(model),
        latently.inspect(latently.load(tmp_path / "model.safetensors")),
    ]
    ours, theirs = ({**f.to_dict(), "training": None} for f in facts)
    assert ours == theirs
    timeless = [dataclasses.replace(f.training, seconds=None) for f in facts]
    assert timeless[0] == timeless[1]
    assert "NaN" not in json.dumps(facts[1].to_dict())


def test_components_that_the_data_do_not_need_are_not_used():
    line = np.random.default_rng(0).normal(size=(400, 1)) * [1.0, 2.0, -1.0, 0.5]
    model = latently.VariationalAutoencoder(4, max_epochs=60, random_state=0).fit(line)
    assert latently.inspect(model).n_components_used < 4


def test_a_model_fed_in_chunks_has_no_baselines(rows):
    model = latently.Autoencoder(2, random_state=0).partial_fit(rows)
    facts = latently.inspect(model)
    assert facts.baselines is None
    assert "conclusion" not in str(facts)


def test_an_unfitted_model_is_refused():
    with pytest.raises(NotFittedError):
        latently.inspect(latently.Autoencoder())


def test_looking_leaves_the_random_state_of_torch_alone(model):
    import torch

    before = torch.random.get_rng_state()
    latently.inspect(model)
    assert torch.equal(torch.random.get_rng_state(), before)
