"""Rows from a pipe, such as standard input."""

from __future__ import annotations

import os
import select
from typing import BinaryIO

from latently.io.text._csv import is_header
from latently.monitoring.sources._chunks import Chunk, Position
from latently.monitoring.sources._file import make_reader
from latently.monitoring.sources._polled import PolledSource
from latently.monitoring.sources._text import TextReader, complete_rows

#: Bytes read at once.
_PIECE = 2**20


class PipeSource(PolledSource):
    """Follow rows of a pipe. A pipe cannot be read again, so that its position counts rows only.

    Rows that were read and not yet scored when the process is killed are lost. Use a file, a
    folder or a query where every row must be scored.

    Parameters
    ----------
    stream : binary file
        With a file number, such as ``sys.stdin.buffer``.
    format : {"csv", "tsv", "ndjson"}, default="csv"
        Format of the rows.
    """

    identity = "stdin"

    def __init__(self, stream: BinaryIO, format: str = "csv") -> None:
        self.stream, self.format = stream, format
        self._pending = b""
        self._n_read, self._line = 0, 1
        self._is_closed = False
        self._reader: TextReader | None = None
        self._header: bytes | None = None

    @property
    def ended(self) -> bool:
        """True at the end of the pipe, once all rows have been returned."""
        return self._is_closed and not self._pending.strip()

    @property
    def is_pending(self) -> bool:
        """True before the end of the pipe: a single run reads up to it."""
        return not self.ended

    def wait(self, seconds: float) -> None:
        """Wait until rows arrive.

        Parameters
        ----------
        seconds : float
            Longest time to wait.
        """
        if not self._is_closed:
            self._has_arrived(seconds)

    def read(self, position: Position | None, limit: int) -> Chunk | None:
        """Return the next rows.

        Parameters
        ----------
        position : dict or None
            Count of the rows before.
        limit : int
            Most rows to return.

        Returns
        -------
        Chunk or None
            None if nothing came.
        """
        self._fill()
        if not self._has_header():
            return None
        if self._reader is None:
            name = "standard input"
            self._reader = make_reader(name, self.format, self._options, self._columns)
        rows = complete_rows(
            self._reader.name, self._pending, 0, self._line, limit,
            quotes=not self._reader.is_json, final=self._is_closed,
        )  # fmt: skip
        if not rows:
            if self._is_closed:
                self._pending = b""
            return None
        if self._header is not None:
            sample = b"".join(row.text for row in rows[:1000])
            self._reader, self._header = self._reader.with_header(self._header, sample), None
        self._line += self._pending.count(b"\n", 0, rows[-1].end)
        self._pending = self._pending[rows[-1].end :]
        start = 0 if position is None else position["n_rows"]
        return self._reader.chunk(rows, lambda n_rows: {"n_rows": start + n_rows})

    def _fill(self) -> None:
        number = self.stream.fileno()
        while not self._is_closed and len(self._pending) < _PIECE and self._has_arrived(0.0):
            piece = os.read(number, _PIECE)
            self._is_closed = not piece
            self._pending += piece

    def _has_arrived(self, seconds: float) -> bool:
        return bool(select.select([self.stream.fileno()], [], [], seconds)[0])

    def _has_header(self) -> bool:
        """Cut the header line off, once it is there."""
        if self._header is not None or self._n_read or self.format == "ndjson":
            return True
        end = self._pending.find(b"\n") + 1
        while end and not is_header(self._pending[:end]):
            end = self._pending.find(b"\n", end) + 1
        if not end:
            return False
        self._header, self._pending = self._pending[:end], self._pending[end:]
        self._line, self._n_read = self._line + self._header.count(b"\n"), 1
        return True
