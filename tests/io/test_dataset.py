"""Tables piece by piece: the rows, their order and their types are those of the whole."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from latently.exceptions import DataError, OutputExistsError
from latently.io import TableDataset, read, write, write_pieces
from latently.io._table_files import PIECE_ROWS


def table(n_rows=100):
    rng = np.random.default_rng(0)
    words = pa.array(rng.choice(["red", "blue"], n_rows)).dictionary_encode()
    return pa.table({"n": pa.array(range(n_rows)), "x": rng.normal(size=n_rows), "w": words})


@pytest.fixture
def large(tmp_path):
    path = tmp_path / "large.parquet"
    pq.write_table(table(PIECE_ROWS + 100), path, row_group_size=10_000)
    return path


@pytest.mark.parametrize("name", ["t.parquet", "t.arrow", "t.csv"])
def test_pieces_are_the_rows_in_their_order(tmp_path, name):
    write(table(), tmp_path / name)
    pieces = TableDataset(tmp_path / name)
    whole = read(tmp_path / name)
    assert pieces.n_rows == 100 and pieces.schema.names == ["n", "x", "w"]
    for _ in range(2):
        assert pa.concat_tables(list(pieces)).combine_chunks().equals(whole.combine_chunks())


def test_a_large_file_comes_in_pieces_of_bounded_size(large):
    sizes = [piece.num_rows for piece in TableDataset(large)]
    assert sum(sizes) == PIECE_ROWS + 100 and max(sizes) <= PIECE_ROWS and len(sizes) > 1


def test_a_sample_is_drawn_from_all_pieces_in_order_and_the_seed_decides(large):
    pieces = TableDataset(large)
    one, again, other = (pieces.sample(500, seed)["n"].to_pylist() for seed in (0, 0, 1))
    assert one == again == sorted(set(one)) != other
    assert len(one) == 500 and max(one) > PIECE_ROWS
    assert abs(np.mean(one) / (PIECE_ROWS / 2) - 1) < 0.15


def test_a_sample_of_all_rows_is_the_table(large):
    pieces = TableDataset(large)
    assert pieces.sample(10**6, 0)["n"].to_pylist() == list(range(PIECE_ROWS + 100))


@pytest.mark.parametrize("name", ["out.parquet", "out.csv", "out.arrow"])
def test_pieces_are_written_as_one_table(tmp_path, name):
    whole = table()
    n_rows = write_pieces([whole.slice(0, 30), whole.slice(30)], tmp_path / name)
    assert n_rows == 100
    assert read(tmp_path / name)["n"].to_pylist() == list(range(100))


def test_a_piece_that_fails_leaves_neither_file_nor_rest(tmp_path):
    def pieces():
        yield table()
        raise DataError("the second piece is bad")

    with pytest.raises(DataError, match="second piece"):
        write_pieces(pieces(), tmp_path / "out.parquet")
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_exists_is_kept(tmp_path):
    (tmp_path / "out.parquet").write_bytes(b"mine")
    with pytest.raises(OutputExistsError):
        write_pieces([table()], tmp_path / "out.parquet")
    assert (tmp_path / "out.parquet").read_bytes() == b"mine"


def damaged(path):
    raw = bytearray(path.read_bytes())
    raw[60:160] = b"\xff" * 100
    path.write_bytes(raw)


def cut_short(path):
    path.write_bytes(path.read_bytes()[:-20])


def emptied(path):
    path.write_bytes(b"")


@pytest.mark.parametrize("harm", [damaged, cut_short, emptied])
def test_a_harmed_file_is_refused_by_name(large, harm):
    harm(large)
    with pytest.raises(DataError, match=r"large\.parquet"):
        list(TableDataset(large))


def test_a_file_that_is_no_table_is_refused(tmp_path):
    np.save(tmp_path / "m.npy", np.eye(3))
    with pytest.raises(DataError, match="not a table with named columns"):
        TableDataset(tmp_path / "m.npy")


def test_a_table_without_rows_is_refused(tmp_path):
    pq.write_table(table(0), tmp_path / "t.parquet")
    with pytest.raises(DataError, match="no rows"):
        TableDataset(tmp_path / "t.parquet")
