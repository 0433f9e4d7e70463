"""Rows of a database table, by an ascending key."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from latently.exceptions import DataError, MissingExtraError, ParameterError
from latently.monitoring._backoff import Backoff
from latently.monitoring.sources._chunks import Chunk, Position, records_chunk
from latently.monitoring.sources._polled import PolledSource

if TYPE_CHECKING:
    from sqlalchemy import Engine

_LAST = re.compile(r"(?<!:):last\b")


class QuerySource(PolledSource):
    """Follow a query of a database, whose rows are ordered by a unique key.

    Parameters
    ----------
    url : str
        URL of SQLAlchemy, such as ``sqlite:///events.db``.
    query : str
        SELECT statement with ``:last`` for the last key, ordered by the key. For example
        ``SELECT * FROM events WHERE id > :last ORDER BY id``.
    key : str
        Column of the key. Its values must be unique, and new rows must have larger ones.
    start : int or str, default=0
        Value of ``:last`` before the first row. Rows with larger keys are read.
    max_tries : int or None, default=None
        Unanswered queries in a row after which DataError is raised. None tries again for ever.

    Raises
    ------
    MissingExtraError
        If SQLAlchemy is not installed.
    ParameterError
        If the URL or the query is wrong.
    """

    def __init__(
        self,
        url: str,
        query: str,
        key: str,
        start: int | str = 0,
        max_tries: int | None = None,
    ) -> None:
        if not _LAST.search(query):
            raise ParameterError(
                f"query must contain :last, got {query[:60]!r}. Try SELECT * FROM events WHERE "
                "id > :last ORDER BY id."
            )
        self.query, self.key, self.start, self.max_tries = query, key, start, max_tries
        self._engine = _engine(url)
        self.name = self._engine.url.render_as_string(hide_password=True)
        self.backoff = Backoff()
        self._has_answered = False

    @property
    def identity(self) -> str:
        """The URL without its password, and the query."""
        return f"query:{self.name} {' '.join(self.query.split())}"

    @property
    def is_pending(self) -> bool:
        """True while the database does not answer."""
        return self.backoff.n_failures > 0

    def close(self) -> None:
        """Close the connections."""
        self._engine.dispose()

    def read(self, position: Position | None, limit: int) -> Chunk | None:
        """Return the next rows by key.

        Parameters
        ----------
        position : dict or None
            The last key.
        limit : int
            Most rows to return.

        Returns
        -------
        Chunk or None
            None if there is no new row, or if the database does not answer.

        Raises
        ------
        DataError
            If the database refuses the query, does not answer the first one, or if keys do not
            ascend.
        """
        if not self.backoff.is_due():
            return None
        last = self.start if position is None else _key_of(position)
        try:
            rows = self.fetch(last, limit)
        except Exception as error:
            self._retry(error)
            return None
        if self.backoff.n_failures:
            self._notify(f"{self.name} answers again.")
        self.backoff.reset()
        self._has_answered = True
        if not rows:
            return None
        keys = self._checked([] if position is None else [last], rows)
        places = [f"{self.key} {key}" for key in keys]
        return records_chunk(
            self.name, rows, self._columns, places, self._options,
            lambda n_rows: _position(keys[n_rows - 1]) if n_rows else position or {},
        )  # fmt: skip

    def fetch(self, last: Any, limit: int) -> list[dict[str, Any]]:
        """Return the rows after a key, as the database answers.

        Parameters
        ----------
        last : object
            The key.
        limit : int
            Most rows to return.

        Returns
        -------
        list of dict
            Values by column.
        """
        from sqlalchemy import text

        with self._engine.connect() as connection:
            options = {"stream_results": True, "max_row_buffer": limit}
            found = connection.execution_options(**options).execute(
                text(self.query), {"last": last}
            )
            rows = [dict(row) for row in found.mappings().fetchmany(limit)]
            found.close()
        return rows

    def _retry(self, error: Exception) -> None:
        """Plan the next try after a lost database, or raise DataError for a refused query."""
        from sqlalchemy import exc

        reason = str(getattr(error, "orig", None) or error).split("\n")[0][:120]
        lost = isinstance(error, exc.OperationalError | exc.InterfaceError | exc.TimeoutError)
        lost = lost or getattr(error, "connection_invalidated", False)
        if not isinstance(error, exc.SQLAlchemyError):
            raise error
        is_spent = self.backoff.n_failures + 1 == self.max_tries
        if not lost or not self._has_answered or is_spent:
            raise DataError(
                f"{self.name}: the query is not answered ({reason}). Check the database and "
                "--query."
            ) from None
        seconds = self.backoff.fail()
        self._notify(f"{self.name} does not answer ({reason}). Next try in {seconds:.0f} s.")

    def _checked(self, before: list[Any], rows: Sequence[dict[str, Any]]) -> list[Any]:
        if self.key not in rows[0]:
            raise ParameterError(
                f"--key must name a column of the query, got {self.key!r} with "
                f"{', '.join(list(rows[0])[:5])}. Select the key, too."
            )
        keys = [row[self.key] for row in rows]
        for first, second in zip([*before, *keys], [*before, *keys][1:], strict=False):
            if second is None or not _ascends(first, second):
                raise DataError(
                    f"{self.name}: keys must ascend and be unique, got {self.key} {second} after "
                    f"{first}. Write ORDER BY {self.key} and {self.key} > :last."
                )
        return keys


def _ascends(first: Any, second: Any) -> bool:
    try:
        # Texts ascend by the collation of the database, which is not that of Python.
        return bool(first != second if isinstance(second, str) else first < second)
    except TypeError:
        return str(first) != str(second)


def _engine(url: str) -> Engine:
    try:
        import sqlalchemy
    except ImportError:
        raise MissingExtraError(
            'A query needs SQLAlchemy. Install it by: pip install "latently[sql]"'
        ) from None
    try:
        return sqlalchemy.create_engine(url, pool_pre_ping=True)
    except sqlalchemy.exc.ArgumentError:
        raise ParameterError(
            "url must be a URL of SQLAlchemy, such as sqlite:///events.db, and could not be read. "
            "Check it."
        ) from None
    except ImportError as error:
        raise MissingExtraError(
            f"The database needs a driver that is not installed ({error}). Install it with pip."
        ) from None


#: Types of keys besides int and str, and how they are restored.
_RESTORED: dict[str, Callable[[str], Any]] = {
    "datetime": datetime.fromisoformat,
    "date": date.fromisoformat,
    "Decimal": Decimal,
    "str": str,
    "int": int,
    "float": float,
    "UUID": str,
}


def _position(key: Any) -> Position:
    kind = type(key).__name__
    if kind not in _RESTORED:
        raise DataError(
            f"The key must be a number, text or time, got {kind}. Choose another --key."
        )
    return {"last": str(key), "type": kind}


def _key_of(position: Position) -> Any:
    return _RESTORED[position["type"]](position["last"])
