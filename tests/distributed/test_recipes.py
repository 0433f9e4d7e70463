"""A model file as a function of a record batch, in engines of others."""

import copy
import pickle
import shutil

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from latently import AnomalyDetector, Autoencoder, AutoencoderImputer, BatchPredictor, load
from latently.datasets import make_transactions
from latently.exceptions import DataError, ModelFileError, ParameterError

pytestmark = pytest.mark.distributed


@pytest.fixture(scope="module")
def table():
    return make_transactions(300, random_state=0).data


@pytest.fixture(scope="module")
def folder(tmp_path_factory, table):
    folder = tmp_path_factory.mktemp("recipes")
    AnomalyDetector(random_state=0).fit(table).save(folder / "detector.safetensors")
    Autoencoder(2, max_epochs=3, random_state=0).fit(table).save(folder / "model.safetensors")
    imputer = AutoencoderImputer(
        autoencoder=Autoencoder(2, max_epochs=3, random_state=0), random_state=0
    )
    imputer.fit(table).save(folder / "imputer.safetensors")
    (folder / "rows").mkdir()
    for part in range(3):
        own = table.slice(100 * part, 100)
        named = own.append_column("number", pa.array(range(100 * part, 100 * part + 100)))
        pq.write_table(named, folder / "rows" / f"{part}.parquet")
    return folder


# ------------------------------------------------------------------ the function itself
def test_it_gives_the_results_of_the_model(folder, table):
    batch = table.to_batches()[0]
    detector = load(folder / "detector.safetensors")
    scored = BatchPredictor(folder / "detector.safetensors")(batch)
    np.testing.assert_array_equal(scored["anomaly_score"], -detector.score_samples(table))
    np.testing.assert_array_equal(scored["is_anomaly"], detector.predict(table) == -1)
    codes = BatchPredictor(folder / "model.safetensors", "transform")(batch)
    expected = load(folder / "model.safetensors").transform(table)
    np.testing.assert_array_equal(np.column_stack(codes.columns), expected)
    filled = BatchPredictor(folder / "imputer.safetensors", "impute")(batch)
    assert filled.equals(load(folder / "imputer.safetensors").transform(table))


def test_pieces_are_answered_as_the_whole(folder, table):
    predictor = BatchPredictor(folder / "detector.safetensors", per_feature=True)
    pieces = [predictor(table.slice(start, 70)) for start in range(0, 300, 70)]
    found, whole = pa.concat_tables(pieces), predictor(table)
    assert found["is_anomaly"].equals(whole["is_anomaly"])
    for name in whole.column_names:  # last digits of a memory depend on a row's company
        np.testing.assert_allclose(
            found[name].cast("double"), whole[name].cast("double"), 1e-5, 1e-6
        )


def test_ids_are_carried_in_front(folder):
    rows = pq.read_table(folder / "rows" / "0.parquet")
    found = BatchPredictor(folder / "detector.safetensors", ids=["number"])(rows)
    assert found.column_names[0] == "number"
    assert found["number"].to_pylist() == list(range(100))


def test_it_is_sent_as_a_few_words_and_reads_the_model_where_it_is(folder, table):
    predictor = BatchPredictor(folder / "detector.safetensors")
    expected = predictor(table)
    assert len(pickle.dumps(predictor)) < 1_000
    assert copy.deepcopy(predictor)(table).equals(expected)


@pytest.mark.parametrize("method", ["score", "transform", "impute"])
def test_no_rows_give_an_empty_result_with_the_same_columns(method, folder, table):
    name = "imputer" if method == "impute" else "detector"
    predictor = BatchPredictor(folder / f"{name}.safetensors", method)
    assert predictor(table.slice(0, 0)).schema.equals(predictor(table.slice(0, 9)).schema)
    assert predictor(table.slice(0, 0)).num_rows == 0


@pytest.mark.parametrize(
    ("make", "error", "said"),
    [
        (lambda f: BatchPredictor(f / "detector.safetensors", "guess"), ParameterError, "method"),
        (lambda f: BatchPredictor(f / "no.safetensors"), ModelFileError, "no.safetensors"),
        (lambda f: BatchPredictor(f / "model.safetensors", "impute"), ParameterError, "imputer"),
        (lambda f: BatchPredictor(f / "model.safetensors", ids=["x"]), DataError, "ids: x"),
        (
            lambda f: BatchPredictor(f / "imputer.safetensors", "impute", ids=["amount"]),
            ParameterError,
            "must not name columns of the output, got 'amount'",
        ),
    ],
)
def test_invalid_arguments_are_refused(make, error, said, folder, table):
    with pytest.raises(error, match=said):
        make(folder)(table)


def test_lacking_columns_are_named(folder, table):
    with pytest.raises(DataError, match="lacks columns of the model: amount"):
        BatchPredictor(folder / "detector.safetensors")(table.drop_columns("amount"))


# ------------------------------------------------------------------ engines
def expected_scores(folder):
    rows = pq.read_table(folder / "rows")
    return BatchPredictor(folder / "detector.safetensors", ids=["number"])(rows).to_pandas()


def assert_scores(found, expected):
    found = found.sort_values("number").reset_index(drop=True)
    np.testing.assert_array_equal(found["number"], expected["number"])
    np.testing.assert_allclose(found["anomaly_score"], expected["anomaly_score"], 1e-5, 1e-6)
    np.testing.assert_array_equal(found["is_anomaly"], expected["is_anomaly"])


@pytest.mark.filterwarnings("ignore")
def test_dask_maps_partitions(folder):
    dataframe = pytest.importorskip("dask.dataframe", reason="needs dask[dataframe]")
    predictor = BatchPredictor(str(folder / "detector.safetensors"), ids=["number"])

    def scored(part):
        return predictor(pa.Table.from_pandas(part, preserve_index=False)).to_pandas()

    rows = dataframe.read_parquet(str(folder / "rows"))
    types = scored(rows.head(0))
    found = rows.map_partitions(scored, meta=types).compute(scheduler="threads")
    assert rows.npartitions > 1
    assert_scores(found, expected_scores(folder))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.skipif(shutil.which("java") is None, reason="needs Java")
def test_spark_maps_in_arrow(folder):
    sql = pytest.importorskip("pyspark.sql", reason="needs pyspark")
    session = sql.SparkSession.builder.master("local[2]").getOrCreate()
    try:
        predictor = BatchPredictor(str(folder / "detector.safetensors"), ids=["number"])

        def scored(batches):
            for batch in batches:
                yield from predictor(batch).to_batches()

        schema = "number bigint, anomaly_score double, p_value double, is_anomaly boolean"
        rows = session.read.parquet(str(folder / "rows"))
        found = rows.mapInArrow(scored, schema).toPandas()
        assert_scores(found, expected_scores(folder))
    finally:
        session.stop()
