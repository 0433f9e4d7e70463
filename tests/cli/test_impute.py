"""``latently impute``: with a model or from the data alone, in pieces, with draws and intervals."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import latently
from latently.io import read, write
from tests.cli.conftest import make_table


@pytest.fixture
def holed(tmp_path):
    path = tmp_path / "in.parquet"
    write(make_table(), path)
    return path


@pytest.fixture
def quick(monkeypatch):
    """Make the imputer that the command fits a small one."""
    from latently.estimators import ImputationAutoencoder

    small = {"n_networks": 2, "n_trees": 8, "batch_size": 64, "max_epochs": 2, "engine": "cpu"}
    monkeypatch.setattr("latently.tasks.imputation._imputer.ImputationAutoencoder",
                        lambda: ImputationAutoencoder(**small))  # fmt: skip


@pytest.fixture
def imputer(tmp_path, quick):
    path = tmp_path / "imputer.safetensors"
    rows = make_table().drop_columns(["key", "label"])
    latently.AutoencoderImputer(random_state=0).fit(rows).save(path)
    return path


def assert_filled(answer, given):
    for name in given.column_names:
        known = np.asarray(given[name].is_valid())
        kept = answer[name].filter(pa.array(known))
        assert kept.to_pylist() == given[name].filter(pa.array(known)).to_pylist()
        assert answer[name].null_count == 0


@pytest.mark.parametrize("suffix", ["parquet", "csv", "arrow"])
def test_a_table_is_filled_from_itself(run, holed, tmp_path, quick, suffix):
    out = tmp_path / f"out.{suffix}"
    result = run("impute", holed, "-o", out, "--id", "key")
    assert result.exit_code == 0
    answer, given = read(out), make_table()
    assert answer.column_names == given.column_names
    assert_filled(answer, given)
    assert f"filled {given['width'].null_count} missing cells" in result.stderr
    assert "expected error" in result.stderr


def test_types_of_a_parquet_file_are_kept(run, tmp_path, quick):
    table = latently.datasets.make_transactions(150, as_frame="pyarrow", random_state=0).data
    pq.write_table(table, tmp_path / "in.parquet")
    run("impute", tmp_path / "in.parquet", "-o", tmp_path / "out.parquet", "--quiet")
    answer = pq.read_table(tmp_path / "out.parquet")
    assert answer.schema.types == pq.read_table(tmp_path / "in.parquet").schema.types
    assert_filled(answer, table)


def test_a_saved_imputer_fills_as_it_did(run, holed, tmp_path, quick):
    model, options = tmp_path / "model.safetensors", ("--id", "key", "--quiet")
    run("impute", holed, "-o", tmp_path / "one.csv", "--save", model, *options)
    run("impute", model, holed, "-o", tmp_path / "two.csv", "--id", "key", "--quiet")
    one, two = read(tmp_path / "one.csv"), read(tmp_path / "two.csv")
    assert one.equals(two)


def test_many_pieces_give_what_one_gives(run, holed, imputer, tmp_path, monkeypatch):
    run("impute", imputer, holed, "-o", tmp_path / "one.parquet", "--id", "key")
    monkeypatch.setattr("latently.io.dataset._table_files.PIECE_ROWS", 7)
    run("impute", imputer, holed, "-o", tmp_path / "two.parquet", "--id", "key")
    one, two = (pq.read_table(tmp_path / f"{name}.parquet") for name in ("one", "two"))
    assert one["key"].equals(two["key"])
    np.testing.assert_allclose(one["width"].to_numpy(), two["width"].to_numpy(), rtol=1e-9)


def test_draws_say_which_they_are_and_the_seed_decides(run, holed, imputer, tmp_path):
    answers = []
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        out = tmp_path / f"{name}.parquet"
        run("impute", imputer, holed, "-o", out, "--draws", 3, "--seed", seed, "--id", "key")
        answers.append(pq.read_table(out))
    one, again, other = answers
    assert one.column_names == ["key", "draw", "length", "width", "colour"]
    assert one.num_rows == 180 and sorted(set(one["draw"].to_pylist())) == [1, 2, 3]
    assert one.equals(again) and not one.equals(other)


def test_intervals_stand_beside_the_table(run, holed, imputer, tmp_path):
    run("impute", imputer, holed, "-o", tmp_path / "out.csv", "--interval", 0.9, "--id", "key")
    answer, gaps = read(tmp_path / "out.csv"), np.asarray(make_table()["width"].is_null())
    low, high = (answer[f"width_{end}"].to_numpy() for end in ("low", "high"))
    assert (low[gaps] < high[gaps]).all()
    np.testing.assert_array_equal(low[~gaps], answer["width"].to_numpy()[~gaps])
    ends = [name for name in answer.column_names if name.endswith(("_low", "_high"))]
    assert ends == ["width_low", "width_high"]  # the other columns have no gaps


def test_a_column_that_cannot_be_filled_stays_missing_on_request(run, tmp_path, quick):
    rng = np.random.default_rng(0)
    note = np.where(rng.random(300) < 0.1, rng.choice(list("xy"), 300), None).tolist()
    table = pa.table({"a": rng.normal(size=300), "b": rng.normal(size=300), "note": note})
    write(table, tmp_path / "in.parquet")
    run("impute", tmp_path / "in.parquet", "-o", tmp_path / "out.parquet", "--unfillable", "leave")
    assert read(tmp_path / "out.parquet")["note"].null_count == table["note"].null_count


def test_marks_columns_and_indicators(run, tmp_path, quick):
    table = make_table().drop_columns(["key", "label"])
    marked = table.set_column(1, "width", table["width"].fill_null(-999.0))
    write(marked, tmp_path / "in.csv")
    result = run("impute", tmp_path / "in.csv", "-o", tmp_path / "out.csv", "--missing", "-999",
                 "--column", "width", "--add-indicator")  # fmt: skip
    assert result.exit_code == 0
    answer = read(tmp_path / "out.csv")
    assert answer.column_names == [*table.column_names, "missingindicator_width"]
    assert min(answer["width"].to_pylist()) > -900
    said = [str(value).lower() == "true" for value in answer["missingindicator_width"].to_pylist()]
    assert said == np.asarray(table["width"].is_null()).tolist()


def test_a_picture_of_the_report_is_drawn(run, holed, tmp_path, quick):
    picture = tmp_path / "fills.png"
    run("impute", holed, "-o", tmp_path / "out.csv", "--plot", picture, "--id", "key")
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_a_table_without_gaps_comes_back_as_it_was(run, imputer, tmp_path):
    table = make_table()
    whole = table.set_column(2, "width", table["width"].fill_null(1.0))
    write(whole, tmp_path / "in.parquet")
    result = run("impute", imputer, tmp_path / "in.parquet", "-o", tmp_path / "out.parquet")
    assert "filled 0 missing cells" in result.stderr
    answer = pq.read_table(tmp_path / "out.parquet")
    assert answer["width"].equals(pa.chunked_array(whole["width"].chunks))


def test_an_array_is_filled_from_itself(run, tmp_path, quick):
    X = np.random.default_rng(0).normal(size=(60, 3))
    X[::7, 1] = np.nan
    np.save(tmp_path / "in.npy", X)
    run("impute", tmp_path / "in.npy", "-o", tmp_path / "out.npy")
    answer = np.load(tmp_path / "out.npy")
    np.testing.assert_array_equal(answer[~np.isnan(X)], X[~np.isnan(X)])
    assert np.isfinite(answer).all()


@pytest.mark.parametrize(
    "arguments, code, words",
    [
        (["nothing.parquet", "-o", "o.csv"], 3, "no such file"),
        (["{holed}", "-o", "{holed}"], 2, "exists"),
        (["{holed}", "-o", "{tmp}/o.csv", "--id", "nothing"], 2, "--id names columns"),
        (["{holed}", "-o", "{tmp}/o.csv", "--column", "nothing"], 2, "does not have"),
        (["{holed}", "-o", "{tmp}/o.csv", "--interval", "2"], 2, "coverage must be"),
        (["{holed}", "-o", "{tmp}/o.csv", "--draws", "0"], 2, "draws"),
        (["{array}", "-o", "{tmp}/o.npy", "--draws", "2"], 2, "need a table with column names"),
        (["{imputer}", "{holed}", "-o", "{tmp}/o.csv", "--column", "a"], 2, "Leave them or MODEL"),
    ],
)
def test_what_cannot_be_done_is_said_before_anything_is_written(
    run, holed, imputer, tmp_path, arguments, code, words
):
    array = tmp_path / "a.npy"
    np.save(array, np.eye(5))
    before = set(tmp_path.iterdir())
    named = {"holed": holed, "imputer": imputer, "array": array, "tmp": tmp_path}
    given = [argument.format(**named) for argument in arguments]
    result = run("impute", *given)
    assert result.exit_code == code
    assert words in result.stderr
    assert set(tmp_path.iterdir()) == before
