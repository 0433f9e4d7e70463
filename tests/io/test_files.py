"""Every format round trips; damage, wrong names and existing outputs are refused."""

import doctest
import importlib
import io
import os
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from latently import io as room
from latently.exceptions import DataError, OutputExistsError, ParameterError
from latently.io import read, write
from latently.io._atomic import atomic_path, check_output

TABLE = pa.table(
    {
        "number": [1.5, None, -2.25],
        "count": [1, 2, None],
        "truth": [True, None, False],
        "word": ["a", None, "c"],
        "day": pa.array([0, None, 19_000], pa.date32()),
        "time": pa.array([0, None, 1_700_000_000_123_456], pa.timestamp("us")),
    }
)
ORDERED = pa.table(
    {
        "tier": pa.DictionaryArray.from_arrays(
            pa.array([0, None, 1], pa.int32()), pa.array(["low", "high"]), ordered=True
        )
    }
)


@pytest.mark.parametrize("suffix", ["csv", "tsv", "parquet", "arrow", "feather"])
def test_a_table_comes_back_as_it_was_written(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"table.{suffix}"
    write(TABLE, path)
    back = read(path)
    assert back.schema.equals(TABLE.schema) and back.to_pydict() == TABLE.to_pydict()


@pytest.mark.parametrize("suffix", ["parquet", "arrow", "feather"])
def test_ordered_categories_keep_their_order(suffix: str, tmp_path: Path) -> None:
    write(ORDERED, tmp_path / f"t.{suffix}")
    back = read(tmp_path / f"t.{suffix}")
    assert back.schema.equals(ORDERED.schema) and back.to_pydict() == ORDERED.to_pydict()


def test_categories_are_written_to_csv_as_words(tmp_path: Path) -> None:
    write(ORDERED, tmp_path / "t.csv")
    assert (tmp_path / "t.csv").read_text() == '"tier"\n"low"\n""\n"high"\n'


@pytest.mark.parametrize("name", TABLE.column_names)
def test_a_lone_column_keeps_its_missing_cells(name: str, tmp_path: Path) -> None:
    write(TABLE.select([name]), tmp_path / "t.csv")
    assert read(tmp_path / "t.csv").equals(TABLE.select([name]))


@pytest.mark.parametrize("suffix", ["npy", "npz"])
@pytest.mark.parametrize("dtype", ["bool", "u1", "i8", "f2", "f4", ">f8"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_an_array_comes_back_as_it_was_written(
    suffix: str, dtype: str, order: str, tmp_path: Path
) -> None:
    array = np.asarray(np.arange(24).reshape(2, 3, 4) % 2, dtype=dtype, order=order)
    write(array, tmp_path / f"a.{suffix}")
    back = read(tmp_path / f"a.{suffix}")
    assert np.array_equal(back, array) and back.dtype == array.dtype.newbyteorder("=")
    assert back.flags.writeable


def test_an_array_goes_into_a_table_with_numbered_columns(tmp_path: Path) -> None:
    write(np.array([[1.5, 2.5], [3.5, 4.5]]), tmp_path / "a.csv")
    assert read(tmp_path / "a.csv").to_pydict() == {"x0": [1.5, 3.5], "x1": [2.5, 4.5]}


def test_a_table_of_numbers_goes_into_an_array(tmp_path: Path) -> None:
    write(TABLE.select(["number", "count", "truth"]), tmp_path / "a.npy")
    expected = [[1.5, 1, 1], [np.nan, 2, np.nan], [-2.25, np.nan, 0]]
    assert np.array_equal(read(tmp_path / "a.npy"), expected, equal_nan=True)


def test_a_table_of_words_does_not_go_into_an_array(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="'word'"):
        write(TABLE, tmp_path / "a.npy")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("format", ["csv", "parquet", "arrow", "npy", "npz"])
def test_standard_output_takes_every_format(
    format: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = TABLE.select(["number", "count"])
    pipe = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(pipe))
    write(data, "-", format)
    (tmp_path / "piped").write_bytes(pipe.getvalue())
    write(data, tmp_path / "direct", format)
    assert str(read(tmp_path / "piped", format)) == str(read(tmp_path / "direct", format))


@pytest.mark.parametrize("name", ["t.parquet", "t.arrow", "t.feather", "a.npy", "a.npz"])
def test_damage_is_refused_or_harmless_but_never_another_error(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    write(TABLE.select(["number", "count"]) if name[0] == "a" else TABLE, path)
    sound, rng = path.read_bytes(), np.random.default_rng(0)
    for cut in rng.integers(1, len(sound), 25):
        path.write_bytes(sound[:cut])
        with pytest.raises(DataError, match=name):
            read(path)
    for spot in rng.integers(0, len(sound), 150):
        path.write_bytes(sound[:spot] + bytes([sound[spot] ^ 0x10]) + sound[spot + 1 :])
        try:
            read(path)
        except DataError as error:
            assert name in str(error) and len(str(error)) <= 300


def test_a_flipped_bit_in_a_parquet_page_is_seen(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    write(pa.table({"x": np.random.default_rng(0).random(1000)}), path)
    raw = bytearray(path.read_bytes())
    raw[4000] ^= 1
    path.write_bytes(raw)
    with pytest.raises(DataError, match="damaged"):
        read(path)


def test_a_parquet_bomb_is_refused_by_its_row_count(tmp_path: Path) -> None:
    path = tmp_path / "bomb.parquet"
    write(pa.table({"x": np.zeros(1_000_000)}), path)
    with pytest.raises(DataError, match="8000000 bytes"):
        read(path, max_bytes=4_000_000)


@pytest.mark.parametrize("kind", [pa.list_(pa.int64()), pa.struct({"a": pa.int64()}), pa.binary()])
def test_nested_columns_are_refused_by_name(kind: object, tmp_path: Path) -> None:
    pq.write_table(pa.table({"deep": pa.nulls(2, kind), "x": [1, 2]}), tmp_path / "t.parquet")
    with pytest.raises(DataError, match="'deep'"):
        read(tmp_path / "t.parquet")


@pytest.mark.parametrize("name", ["t.parquet", "t.arrow"])
def test_tables_without_rows_or_with_repeated_names_are_refused(name: str, tmp_path: Path) -> None:
    write(pa.table({"a": pa.array([], pa.int64())}), tmp_path / name)
    with pytest.raises(DataError, match="no rows"):
        read(tmp_path / name)
    write(pa.table([[1], [2]], names=["a", "a"]), tmp_path / name, overwrite=True)
    with pytest.raises(DataError, match="'a'"):
        read(tmp_path / name)


@pytest.mark.parametrize("name", ["t.parquet", "t.arrow", "a.npy", "a.npz"])
def test_text_under_another_name_is_refused(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text("a,b\n1,2\n")
    with pytest.raises(DataError, match=name):
        read(tmp_path / name)


def test_several_arrays_need_a_key(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    np.savez(path, X=np.eye(2), y=np.ones(2))
    with pytest.raises(DataError, match=r"'X', 'y'.*--key"):
        read(path)
    with pytest.raises(DataError, match="'z'"):
        read(path, key="z")
    assert np.array_equal(read(path, key="y"), np.ones(2))


@pytest.mark.parametrize("values", [["text"], [1 + 2j], [{"an": "object"}]])
def test_arrays_of_other_things_than_numbers_are_refused(values: list, tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.array(values), allow_pickle=True)
    with pytest.raises(DataError, match="not plain numbers"):
        read(tmp_path / "a.npy")


def test_an_array_header_that_claims_too_much_is_refused(tmp_path: Path) -> None:
    with (tmp_path / "a.npy").open("wb") as file:
        np.lib.format.write_array_header_1_0(
            file, {"descr": "<f8", "fortran_order": False, "shape": (2**40, 2**20)}
        )
    with pytest.raises(DataError, match="cut short"):
        read(tmp_path / "a.npy")


@pytest.mark.parametrize("name", ["nothing", "t.xlsx", "photo.png", "absent.csv", "nul\0.csv"])
def test_names_that_lead_nowhere_are_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        read(str(tmp_path / name))
    assert len(str(caught.value)) <= 300


def test_an_unknown_format_is_a_wrong_parameter(tmp_path: Path) -> None:
    with pytest.raises(ParameterError, match="csv, tsv, parquet"):
        read(tmp_path / "t.csv", "excel")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs FIFOs")
def test_a_fifo_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "t.csv")
    with pytest.raises(DataError, match="not a regular file"):
        read(tmp_path / "t.csv")


def test_an_output_that_exists_stays_unless_overwriting_is_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("old")
    with pytest.raises(OutputExistsError, match=r"t\.csv: the output exists"):
        write(TABLE, path)
    assert path.read_text() == "old"
    write(TABLE, path, overwrite=True)
    assert read(path).num_rows == 3 and len(list(tmp_path.iterdir())) == 1


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("old")
    with pytest.raises(ZeroDivisionError), atomic_path(path, overwrite=True) as temporary:
        temporary.write_text("half")
        raise ZeroDivisionError
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]


def test_a_system_that_refuses_to_write_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full_disk(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full_disk)
    with pytest.raises(DataError, match=r"t\.csv: it cannot be written \(no space left"):
        write(TABLE, tmp_path / "t.csv")
    assert not list(tmp_path.iterdir())


def test_an_output_that_appears_during_the_work_is_not_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    with pytest.raises(OutputExistsError), atomic_path(path) as temporary:
        temporary.write_text("mine")
        path.write_text("theirs")
    assert path.read_text() == "theirs" and list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("target", ["missing/t.csv", "folder.csv", "link.csv", "/dev/null"])
def test_outputs_that_can_never_be_written_are_refused_early(target: str, tmp_path: Path) -> None:
    (tmp_path / "folder.csv").mkdir()
    (tmp_path / "link.csv").symlink_to(tmp_path / "folder.csv")
    with pytest.raises(DataError):
        check_output(tmp_path / target, overwrite=True)


def test_standard_output_needs_no_check() -> None:
    check_output("-")


def test_all_lists_every_public_name() -> None:
    public = {
        name
        for name, value in vars(room).items()
        if not name.startswith("_") and not isinstance(value, ModuleType)
    }
    assert set(room.__all__) == public


@pytest.mark.parametrize("module", ["latently.io._files", "latently.io.text._csv"])
def test_the_examples_run(module: str) -> None:
    results = doctest.testmod(importlib.import_module(module))
    assert results.attempted > 0 and results.failed == 0
