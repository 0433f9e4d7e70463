"""Tables piece by piece: the rows, their order and their types are those of the whole."""

import gzip
import shutil
import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.dataset as pa_dataset
import pyarrow.parquet as pq
import pytest

from latently.exceptions import (
    DataError,
    DataWarning,
    OutputExistsError,
    ParameterError,
    ResourceError,
)
from latently.io import TableDataset, read, write, write_images
from latently.io.dataset import _dataset, _discovery, _staging
from latently.io.dataset._pieces import write_pieces
from latently.io.dataset._table_files import PIECE_ROWS, ParquetFile


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


@pytest.fixture
def parts(tmp_path):
    """Three files of 40 rows, two row groups each, numbered through in column n."""
    whole = table(120)
    folder = tmp_path / "parts"
    folder.mkdir()
    for place in range(3):
        part = whole.slice(40 * place, 40)
        pq.write_table(part, folder / f"{place}.parquet", row_group_size=25)
    (folder / "_SUCCESS").touch()
    (folder / ".hidden.parquet").write_bytes(b"no table")
    return folder


def sources(folder):
    return {
        "folder": folder,
        "pattern": str(folder / "*.parquet"),
        "list": [folder / f"{place}.parquet" for place in range(3)],
        "pyarrow": pa_dataset.dataset(folder, format="parquet"),
    }


@pytest.mark.parametrize("kind", ["folder", "pattern", "list", "pyarrow"])
def test_many_files_are_one_table(parts, kind):
    dataset = TableDataset(sources(parts)[kind])
    assert dataset.shape == (120, 3) and len(dataset.paths) == 3
    assert dataset.to_table()["n"].to_pylist() == list(range(120))


@pytest.mark.parametrize("kind", ["folder", "pattern"])
def test_read_puts_many_files_together(parts, kind):
    assert read(sources(parts)[kind]).equals(TableDataset(parts).to_table())


def test_names_of_folders_are_columns(tmp_path):
    for year in (2025, 2026):
        (tmp_path / f"year={year}").mkdir()
        write(table(5), tmp_path / f"year={year}" / "rows.parquet")
    dataset = TableDataset(tmp_path)
    assert dataset.column_names == ["n", "x", "w", "year"]
    assert dataset.to_table()["year"].to_pylist() == [2025] * 5 + [2026] * 5
    assert dataset.select(["year"]).to_table().column_names == ["year"]


@pytest.mark.parametrize("kind", ["parquet", "arrow"])
def test_shuffled_pieces_hold_every_row_once_and_say_where_it_stands(tmp_path, kind):
    for place in range(6):
        write(table(120).slice(20 * place, 20), tmp_path / f"{place}.{kind}")
    dataset = TableDataset(tmp_path)
    first, again, other = (list(dataset.shuffled(seed)) for seed in (0, 0, 1))
    assert [piece.start for piece in first] == [piece.start for piece in again]
    assert [piece.start for piece in first] != [piece.start for piece in other]
    places = [piece.start + row for piece in first for row in range(piece.table.num_rows)]
    rows = [n for piece in first for n in piece.table["n"].to_pylist()]
    assert rows == places and sorted(rows) == list(range(120))


def test_shuffling_opens_few_parts_at_once(parts, monkeypatch):
    opened = []

    class Counted(ParquetFile):
        def read(self, parts, columns):
            opened.append(1)
            yield from super().read(parts, columns)
            opened.append(-1)

    monkeypatch.setattr(_dataset, "_OPEN", 2)
    dataset = TableDataset(parts)
    for file in dataset._files:
        file.__class__ = Counted
    most = 0
    for _ in dataset.shuffled(0):
        most = max(most, sum(opened))
    assert most == 2 and len(opened) == 2 * 6


def test_some_rows_are_found_by_their_places(parts):
    assert TableDataset(parts).take([119, 3, 41])["n"].to_pylist() == [3, 41, 119]


def test_a_column_that_is_not_there_is_not_selected(parts):
    with pytest.raises(ParameterError, match="no column 'y'"):
        TableDataset(parts).select(["x", "y"])


def without(column):
    return table(10).drop_columns([column])


OTHERS = {
    "lacks": (without("x"), "lacks 'x'"),
    "extra": (table(10).append_column("more", pa.array(range(10))), "also has 'more'"),
    "renamed": (table(10).rename_columns(["n", "y", "w"]), "lacks 'x', it also has 'y'"),
    "other type": (
        table(10).set_column(1, "x", pa.array(["a"] * 10)),
        "'x' holds string, in 0.parquet it holds double",
    ),
}


@pytest.mark.parametrize("name", OTHERS)
def test_a_later_file_with_other_columns_is_named(parts, name):
    other, words = OTHERS[name]
    pq.write_table(other, parts / "3.parquet")
    with pytest.raises(DataError, match=words) as caught:
        TableDataset(parts)
    assert "3.parquet" in str(caught.value) and len(str(caught.value)) <= 300


def test_a_file_of_gaps_or_of_plain_texts_fits_beside_others(parts):
    gaps = pa.table({"n": range(5), "x": pa.nulls(5), "w": ["red"] * 5})
    pq.write_table(gaps, parts / "3.parquet")
    whole = TableDataset(parts).to_table()
    assert whole["x"].null_count == 5 and whole["w"].to_pylist()[-1] == "red"


def test_a_file_that_vanishes_is_named(parts):
    dataset = TableDataset(parts)
    (parts / "1.parquet").unlink()
    with pytest.raises(DataError, match=r"1\.parquet: it vanished while it was read"):
        list(dataset)


def test_a_file_that_changes_is_named(parts):
    dataset = TableDataset(parts)
    pq.write_table(table(40), parts / "2.parquet")
    with pytest.raises(DataError, match=r"2\.parquet: it changed while it was read"):
        list(dataset)


def test_a_pattern_finds_packed_texts(tmp_path):
    for place in range(2):
        text = gzip.compress(b"a,b\n1,2\n")
        (tmp_path / f"{place}.CSV.gz").write_bytes(text)
    assert TableDataset(str(tmp_path / "*.gz")).shape == (2, 2)


def test_a_folder_without_tables_is_refused(tmp_path):
    with pytest.raises(DataError, match="no table in this folder"):
        TableDataset(tmp_path)


def test_a_pattern_without_files_is_refused(tmp_path):
    with pytest.raises(DataError, match="no table matches the pattern"):
        TableDataset(str(tmp_path / "*.parquet"))


def test_a_folder_of_two_formats_is_refused(parts):
    write(table(), parts / "more.csv")
    with pytest.raises(DataError, match="several formats: 'csv', 'parquet'"):
        TableDataset(parts)


def test_a_table_beside_images_is_no_dataset(tmp_path):
    write_images(np.zeros((2, 4, 4), np.uint8), tmp_path / "images", ["a.png", "b.png"])
    write(table(), tmp_path / "images" / "labels.csv")
    with pytest.warns(DataWarning, match="1 file in the folder ignored"):
        assert read(tmp_path / "images").pixels.shape == (2, 4, 4)


def test_a_dataset_larger_than_the_cap_is_not_read_whole(parts):
    with pytest.raises(DataError, match="max_bytes is 100"):
        read(parts, max_bytes=100)


MESSY = """id,n,x,when,word,gone,flag
1,1,0.5,2026-01-01,7,,true
2,2,1.5,2026-01-02,8,,false
3,2.5,NA,2026-01-03 10:00,nine,,true
4,4,2.5,2026-01-04 11:30,,,NA
"""


@pytest.mark.parametrize("packed", [False, True])
def test_text_larger_than_memory_is_read_as_any_text_is(tmp_path, monkeypatch, packed):
    path = tmp_path / ("messy.csv.gz" if packed else "messy.csv")
    path.write_bytes(gzip.compress(MESSY.encode()) if packed else MESSY.encode())
    whole = read(path)
    monkeypatch.setattr(_discovery, "DEFAULT_MAX_BYTES", 1)
    monkeypatch.setattr(_staging, "_PIECE", 60)
    dataset = TableDataset(path)
    staged = dataset.to_table()
    assert dataset.paths[0] != str(path)
    assert staged.column_names == whole.column_names
    for name in whole.column_names:
        assert staged[name].to_pylist() == whole[name].to_pylist(), name
    copy = Path(dataset.paths[0])
    assert copy.exists()
    del dataset
    assert not copy.exists()


def test_bad_text_larger_than_memory_leaves_nothing(tmp_path, monkeypatch):
    path = tmp_path / "bad.csv"
    path.write_text("a,b\n1,2\n3,4,5\n")
    monkeypatch.setattr(_discovery, "DEFAULT_MAX_BYTES", 1)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with pytest.raises(DataError, match=r"bad\.csv"):
        TableDataset(path)
    assert [entry.name for entry in tmp_path.iterdir()] == ["bad.csv"]


def test_too_little_disk_is_said_before_anything_is_written(tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=1000))
    with pytest.raises(ResourceError, match=r"100,000 rows of output needs about .* of disk"):
        write_pieces([table()], tmp_path / "out.parquet", n_rows=100_000)
    assert list(tmp_path.iterdir()) == []
