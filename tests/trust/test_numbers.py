"""What is promised of the numbers themselves: to the bit where so said, else within a tolerance."""

import subprocess
import sys
from functools import partial

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some
from hypothesis.extra.numpy import array_shapes, arrays
from scipy.stats import spearmanr
from sklearn.base import clone

from latently import (
    AnomalyDetector,
    Autoencoder,
    DenoisingAutoencoder,
    ImputationAutoencoder,
    NeighborAutoencoder,
    SparseAutoencoder,
    TableDataset,
    VariationalAutoencoder,
    load,
)
from latently.exceptions import ModelFileError
from latently.io import read, write
from latently.io._model_file import read_model, write_model
from tests.contract.samples import assert_same_answers, matrix, same, transactions

pytestmark = [
    pytest.mark.trust("numbers"),
    pytest.mark.filterwarnings("ignore::latently.exceptions.DataWarning"),
]
QUICK = {"max_epochs": 3, "random_state": 0, "engine": "cpu"}
KINDS = [
    Autoencoder(2, **QUICK),
    VariationalAutoencoder(2, **QUICK),
    SparseAutoencoder(**QUICK),
    DenoisingAutoencoder(2, **QUICK),
    ImputationAutoencoder(n_trees=4, **QUICK),
    NeighborAutoencoder(random_state=0),
]
X = matrix(300)


@pytest.fixture
def threads():
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


@pytest.mark.parametrize("model", KINDS, ids=str)
def test_answers_are_the_same_on_any_number_of_threads(model, threads):
    fitted = clone(model).fit(X)
    given = []
    for n_threads in (1, 2, 4):
        threads(n_threads)
        given.append(fitted.score_samples(X))
    if isinstance(model, NeighborAutoencoder):  # sums over all stored rows are shared out
        np.testing.assert_allclose(given, [given[0]] * 3, rtol=1e-4, atol=1e-5)
    else:
        assert same(given[0], given[1]) and same(given[0], given[2])


@pytest.mark.parametrize("model", KINDS[:4], ids=str)
def test_training_on_more_threads_differs_by_rounding_only(model, threads):
    weights = []
    for n_threads in (1, 2, 4):
        threads(n_threads)
        module = clone(model).fit(X).module_
        weights.append(np.concatenate([w.detach().numpy().ravel() for w in module.parameters()]))
    for other in weights[1:]:
        assert np.abs(other - weights[0]).max() <= 1e-5 * np.abs(weights[0]).max()


@pytest.mark.parametrize("model", KINDS, ids=str)
def test_a_row_has_one_score_alone_in_company_in_any_order_from_disk_and_after_loading(
    model, tmp_path
):
    rows = transactions("pyarrow")
    fitted = clone(model).fit(rows)
    wanted = fitted.score_samples(rows)
    order = np.random.default_rng(0).permutation(rows.num_rows)
    # Rows with the same gaps are worked on together: their last digit is the batch's.
    equal = partial(np.allclose, rtol=1e-12) if isinstance(model, ImputationAutoencoder) else same
    assert equal(fitted.score_samples(rows.take(order)), wanted[order])
    alone = [fitted.score_samples(rows.slice(place, 1))[0] for place in range(0, 40, 5)]
    assert equal(np.array(alone), wanted[0:40:5])
    pq.write_table(rows, tmp_path / "rows.parquet", row_group_size=37)
    assert equal(fitted.score_samples(TableDataset(tmp_path / "rows.parquet")), wanted)
    fitted.save(tmp_path / "m")
    assert same(load(tmp_path / "m").score_samples(rows), wanted)


def test_a_row_has_one_score_in_python_and_on_the_command_line(tmp_path):
    rows = transactions("pyarrow")
    fitted = AnomalyDetector(autoencoder=clone(KINDS[0]), random_state=0).fit(rows)
    write(rows, tmp_path / "rows.parquet")
    fitted.save(tmp_path / "m")
    words = ["score", tmp_path / "m", tmp_path / "rows.parquet", "-o", tmp_path / "s.parquet"]
    subprocess.run([sys.executable, "-m", "latently", *map(str, words)], check=True)
    scores = read(tmp_path / "s.parquet")["anomaly_score"].to_numpy()
    assert same(scores, -fitted.score_samples(rows))


@pytest.mark.parametrize(
    "change",
    [
        lambda X: X * 1e6,
        lambda X: X + 1e6,
        lambda X: X * 1e-6,
        lambda X: X * [1, 1e-4, 1e3, 1, 1e-9],
    ],
    ids=["times 1e6", "plus 1e6", "times 1e-6", "each column otherwise"],
)
def test_units_do_not_change_the_order_of_the_scores(change):
    # All rows in every step: which are held out and batched together goes by their content.
    whole = {"batch_size": len(X), "validation_fraction": 0.0, "patience": None}
    model = Autoencoder(2, max_epochs=300, random_state=0, **whole)
    first, second = (clone(model).fit(rows).score_samples(rows) for rows in (X, change(X)))
    assert spearmanr(first, second).statistic >= 0.999


@pytest.mark.parametrize("share", [0.01, 0.1, 0.25])
def test_the_share_asked_for_is_flagged_to_the_row(share):
    flags = AnomalyDetector(
        autoencoder=clone(KINDS[0]), contamination=share, random_state=0
    ).fit_predict(X)
    assert abs((flags == -1).sum() - share * len(X)) <= 1


# ---------------------------------------------------------------- whatever comes
QUIETLY = settings(
    max_examples=40,
    deadline=None,
    database=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
NAMES = some.text(some.characters(blacklist_categories=["Cs", "Cc"]), min_size=1, max_size=12)
COLUMNS = [
    some.lists(some.none() | some.floats(-1e6, 1e6), min_size=24, max_size=24),
    some.lists(some.integers(-(2**53), 2**53), min_size=24, max_size=24),
    some.lists(some.booleans(), min_size=24, max_size=24),
    some.lists(some.none() | some.sampled_from(["x", "y", "NA", "", "ä,\n\""]),
               min_size=24, max_size=24),
    some.lists(some.datetimes(pd.Timestamp("1900-01-01"), pd.Timestamp("2200-01-01")),
               min_size=24, max_size=24),
]  # fmt: skip
TABLES = some.dictionaries(NAMES, some.one_of(COLUMNS), min_size=1, max_size=5)


@QUIETLY
@given(TABLES)
def test_any_table_is_learnt_saved_and_loaded(tmp_path, columns):
    table = pa.table({name: pa.array(values) for name, values in columns.items()})
    model = Autoencoder(1, max_epochs=1, random_state=0).fit(table)
    scores = model.score_samples(table)
    assert np.isfinite(scores).all() and len(scores) == 24
    rebuilt = model.reconstruct(table)
    assert rebuilt.schema.names == table.schema.names
    assert rebuilt.schema.types == table.schema.types
    model.save(tmp_path / "m")
    assert_same_answers(model, load(tmp_path / "m"), table)


@QUIETLY
@given(TABLES)
def test_any_table_goes_to_csv_and_parquet_and_back(tmp_path, columns):
    table = pa.table({name.strip() or "n": pa.array(v) for name, v in columns.items()})
    write(table, tmp_path / "t.parquet", overwrite=True)
    assert read(tmp_path / "t.parquet").equals(table)
    numbers = table.select([f.name for f in table.schema if pa.types.is_floating(f.type)])
    if numbers.num_columns and not any(column.null_count == 24 for column in numbers.columns):
        write(numbers, tmp_path / "t.csv", overwrite=True)
        back = read(tmp_path / "t.csv")
        for place in range(numbers.num_columns):
            sent = numbers.column(place).to_pandas().to_numpy()
            np.testing.assert_array_equal(back.column(place).to_pandas().to_numpy(), sent)


JSON = some.recursive(
    some.none() | some.booleans() | some.integers() | some.floats(allow_nan=False,
    allow_infinity=False) | some.text(some.characters(blacklist_categories=["Cs"])),
    lambda inner: some.lists(inner, max_size=4) | some.dictionaries(some.text(
        some.characters(blacklist_categories=["Cs"])), inner, max_size=4),
    max_leaves=20,
)  # fmt: skip
ARRAYS = some.sampled_from(["f4", "f8", "i8", "u1", "?"]).flatmap(
    lambda dtype: arrays(dtype, array_shapes(min_dims=0, max_side=4))
)
KEYS = some.from_regex(r"[a-z][a-z0-9_]{0,20}", fullmatch=True)


@QUIETLY
@given(some.dictionaries(some.text(max_size=5), JSON, max_size=4),
       some.dictionaries(KEYS, ARRAYS, max_size=4))  # fmt: skip
def test_any_content_of_a_model_file_comes_back_to_the_bit(tmp_path, config, content):
    try:
        write_model(tmp_path / "m", config, content)
    except ModelFileError:  # deeper than is allowed
        return
    said, kept = read_model(tmp_path / "m")
    assert said == config and set(kept) == set(content)
    assert all(kept[name].tobytes() == content[name].tobytes() for name in content)


@QUIETLY
@given(
    some.fixed_dictionaries(
        {
            "n_components": some.integers(1, 100) | some.just("auto"),
            "max_epochs": some.integers(1, 10**6) | some.just("auto"),
            "learning_rate": some.floats(1e-9, 1e3),
            "patience": some.none() | some.integers(1, 10**6),
            "gradient_clip": some.none() | some.floats(1e-9, 1e9),
            "validation_fraction": some.floats(0, 1, exclude_max=True),
            "time_limit": some.none() | some.floats(1e-3, 1e6),
            "random_state": some.none() | some.integers(0, 2**32 - 1),
        }
    )
)
def test_any_parameters_are_set_cloned_and_judged(params):
    model = Autoencoder().set_params(**params)
    assert {name: clone(model).get_params()[name] for name in params} == params
    model._check_parameters()
