"""Fits to datasets on disk equal fits in memory, up to the order of the rows."""

import numpy as np
import pyarrow as pa
import pyarrow.dataset as pa_dataset
import pyarrow.parquet as pq
import pytest
from sklearn.base import clone

from latently import (
    Autoencoder,
    DenoisingAutoencoder,
    DenseNetwork,
    ImputationAutoencoder,
    NeighborAutoencoder,
)
from latently.estimators.fit._split import SplitRule
from latently.exceptions import DataError, ParameterError, ResourceError
from latently.io import TableDataset, _resources
from tests.contract.estimators import AUTOENCODERS

N_ROWS = 400


def make_table(n_rows=N_ROWS):
    rng = np.random.default_rng(0)
    causes = rng.normal(size=(n_rows, 2))
    numbers = causes @ rng.normal(size=(2, 5)) + 0.1 * rng.normal(size=(n_rows, 5))
    columns = {f"x{place}": numbers[:, place] for place in range(5)}
    columns["x0"] = pa.array(numbers[:, 0], mask=rng.random(n_rows) < 0.1)
    columns["side"] = np.where(causes[:, 0] > 0, "left", "right")
    return pa.table(columns)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("dataset")
    for place in range(4):
        part = make_table().slice(100 * place, 100)
        pq.write_table(part, folder / f"{place}.parquet", row_group_size=30)
    return folder


@pytest.fixture
def dataset(folder):
    return TableDataset(folder)


def weights_of(model):
    return np.concatenate([w.numpy().ravel() for w in model.module_.state_dict().values()])


@pytest.mark.parametrize("model", AUTOENCODERS, ids=str)
def test_every_trained_kind_learns_from_disk_and_answers_piece_by_piece(model, dataset):
    fitted = clone(model).fit(dataset)
    again = clone(model).fit(dataset)
    np.testing.assert_array_equal(weights_of(fitted), weights_of(again))
    table = make_table()
    np.testing.assert_array_equal(fitted.score_samples(dataset), fitted.score_samples(table))
    np.testing.assert_array_equal(fitted.transform(dataset), fitted.transform(table))
    assert fitted.reconstruct(dataset).equals(fitted.reconstruct(table))


def test_it_is_as_good_as_in_memory(dataset):
    model = Autoencoder(2, max_epochs=150, validation_fraction=0.0, random_state=0)
    on_disk, in_memory = clone(model).fit(dataset), clone(model).fit(make_table())
    assert on_disk.score(make_table()) == pytest.approx(in_memory.score(make_table()), abs=0.01)
    np.testing.assert_allclose(on_disk.preprocessor_.scale, in_memory.preprocessor_.scale)


def test_the_size_of_the_code_is_found_on_disk_too(dataset):
    model = Autoencoder(max_epochs=100, random_state=0).fit(dataset)
    assert model.n_components_ == model.components_curve_.n_components < 5


def test_a_dataset_of_pyarrow_is_read_as_our_own(folder, dataset):
    model = Autoencoder(2, max_epochs=2, random_state=0)
    own = clone(model).fit(dataset)
    theirs = clone(model).fit(pa_dataset.dataset(folder, format="parquet"))
    np.testing.assert_array_equal(weights_of(own), weights_of(theirs))


def test_rows_held_out_are_not_learnt_and_the_last_ones_where_asked_for(dataset, monkeypatch):
    learnt, valid = [], []

    def watch(model, train_rows, valid_rows, options, *rest, **more):
        batches = train_rows.batches(16, __import__("torch").Generator())
        learnt.extend(row for batch in batches for row in batch.inputs.values[:, 1].tolist())
        valid.extend(valid_rows.inputs.values[:, 1].tolist())
        raise KeyboardInterrupt

    monkeypatch.setattr("latently.estimators.fit._trainer.run_loop", watch)
    model = Autoencoder(2, shuffle=False, random_state=0)
    with pytest.raises(KeyboardInterrupt):
        model.fit(dataset)
    encoded = model.preprocessor_.encode(
        __import__("narwhals").from_native(make_table(), eager_only=True)
    )[0][:, 1].astype(np.float32)
    np.testing.assert_array_equal(valid, encoded[-40:])
    np.testing.assert_array_equal(np.sort(learnt), np.sort(encoded[:-40]))


def test_refit_learns_from_all_rows(dataset):
    model = Autoencoder(2, max_epochs=3, refit=True, random_state=0).fit(dataset)
    assert model.n_refit_steps_ > 0


def test_groups_are_held_out_whole(dataset, monkeypatch):
    groups = np.arange(N_ROWS) // 37
    for seed in range(5):
        held = SplitRule(0.1, groups=groups).hold_out(N_ROWS, N_ROWS, seed)
        assert 0 < len(held) <= 40
        assert not set(groups[held]) & set(np.delete(groups, held))
    model = Autoencoder(2, max_epochs=3, random_state=0).fit(dataset, groups=groups)
    assert model.baselines_.n_rows == 37


def test_of_two_groups_one_is_learnt_from():
    groups = np.arange(N_ROWS) % 2
    assert len(SplitRule(0.9, groups=groups).hold_out(N_ROWS, N_ROWS, 0)) == N_ROWS // 2


def test_rows_without_weight_are_as_if_they_were_not_there(dataset, folder, tmp_path):
    weights = np.repeat([0.0, 1.0], N_ROWS // 2)
    for place in (2, 3):
        (tmp_path / f"{place}.parquet").write_bytes((folder / f"{place}.parquet").read_bytes())
    model = Autoencoder(2, max_epochs=3, validation_fraction=0.0, random_state=0)
    one = clone(model).fit(dataset, sample_weight=weights)
    other = clone(model).fit(TableDataset(tmp_path))
    assert one.history_.last_step == other.history_.last_step
    np.testing.assert_array_equal(one.preprocessor_.center, other.preprocessor_.center)


def test_one_component_goes_to_the_weighty_rows_as_in_memory(tmp_path):
    rng = np.random.default_rng(0)
    is_left = np.arange(N_ROWS) % 2 == 0
    lines = np.where(is_left[:, None], [1.0, 1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 1.0])
    rows = lines * rng.normal(size=(N_ROWS, 1))
    table = pa.table({f"x{place}": rows[:, place] for place in range(4)})
    pq.write_table(table, tmp_path / "rows.parquet", row_group_size=50)
    line = DenseNetwork((4,), activation="identity")
    model = Autoencoder(1, network=line, max_epochs=60, random_state=0)
    for heavy in (is_left, ~is_left):
        weights = np.where(heavy, 5.5, 0.5)
        for given in (TableDataset(tmp_path), table):
            errors = clone(model).fit(given, sample_weight=weights).reconstruction_error(table)
            assert errors[heavy].mean() < 0.05 < 0.4 < errors[~heavy].mean()


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"groups": np.zeros(N_ROWS)}, "at least two groups"),
        ({"groups": np.zeros(3)}, "one label per row"),
        ({"sample_weight": np.zeros(N_ROWS)}, "zero for every row"),
        ({"sample_weight": np.ones(3)}, "sample_weight"),
    ],
    ids=["one group", "few groups", "no weight", "few weights"],
)
def test_labels_and_weights_that_do_not_match_are_refused(dataset, given, words):
    with pytest.raises(DataError, match=words):
        Autoencoder(2).fit(dataset, **given)


def test_a_target_needs_rows_in_memory(dataset):
    with pytest.raises(
        ParameterError, match="X must be in memory if y holds targets, got a dataset"
    ):
        DenoisingAutoencoder(2).fit(dataset, make_table())


@pytest.mark.parametrize("kind", [NeighborAutoencoder, ImputationAutoencoder])
def test_models_that_keep_rows_ask_for_a_sample(dataset, kind):
    with pytest.raises(DataError, match="Expected rows in memory, got a TableDataset"):
        kind().fit(dataset)


def test_a_dataset_with_other_columns_is_refused_when_it_is_asked_about(dataset):
    model = Autoencoder(2, max_epochs=1, random_state=0).fit(dataset)
    with pytest.raises(DataError, match="seen at fit time, yet now missing"):
        model.transform(dataset.select(["x1", "x2"]))


def test_one_row_is_too_few(tmp_path):
    pq.write_table(make_table(1), tmp_path / "one.parquet")
    with pytest.raises(DataError, match="1 sample"):
        Autoencoder(2).fit(TableDataset(tmp_path / "one.parquet"))


def test_a_fit_that_needs_more_memory_than_there_is_is_refused_before(monkeypatch):
    monkeypatch.setattr(_resources, "free_memory", lambda: 1000)
    with pytest.raises(ResourceError, match=r"needs about .* of memory.*TableDataset"):
        Autoencoder(2).fit(make_table())
