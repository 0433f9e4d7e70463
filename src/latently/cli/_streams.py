"""The standard streams of the command: written whole, and there even where they were closed."""

from __future__ import annotations

import contextlib
import io
import os
import select
import sys
from collections.abc import Callable
from typing import TextIO

_STDIN, _STDOUT, _STDERR = range(3)


#: Numbers of streams whose reader is gone.
_BROKEN: set[int] = set()


class _Patient(io.FileIO):
    """A file that waits where the system would write nothing for now."""

    def write(self, data: bytes, /) -> int:  # type: ignore[override]  # any buffer
        try:
            while (n_written := super().write(data)) is None:
                select.select([], [self], [])
        except BrokenPipeError:
            _BROKEN.add(self.fileno())
            raise
        return n_written


class _Forgiving(_Patient):
    """A file for messages: if they cannot be written, they are lost and the work goes on."""

    def write(self, data: bytes, /) -> int:  # type: ignore[override]
        try:
            return super().write(data)
        except OSError:
            return len(data)


def prepare_streams() -> None:
    """Replace the standard streams of this process by whole ones.

    A closed one gets a stand-in, so that no other file takes its number: reading from a closed
    standard input and writing to a closed standard output raise OSError, messages are lost.
    """
    _occupy(_STDIN, os.O_WRONLY)
    _occupy(_STDOUT, os.O_RDONLY)
    _occupy(_STDERR, os.O_WRONLY)
    if sys.stdin is None:
        sys.stdin = io.TextIOWrapper(io.BufferedReader(io.FileIO(_STDIN, "rb", closefd=False)))
    sys.stdout = _rewrapped(sys.stdout, _STDOUT, _Patient)
    sys.stderr = _rewrapped(sys.stderr, _STDERR, _Forgiving)


def _occupy(number: int, flags: int) -> None:
    """Open nothing under the number of a standard stream that is closed."""
    try:
        os.fstat(number)
    except OSError:
        opened = os.open(os.devnull, flags)
        if opened != number:
            os.dup2(opened, number)
            os.close(opened)


def _rewrapped(stream: TextIO | None, number: int, kind: Callable[..., io.FileIO]) -> TextIO:
    """Return a text stream that writes its buffer completely, even with PYTHONUNBUFFERED."""
    if stream is not None and os.name == "nt":
        return stream  # consoles of Windows are no files
    if stream is not None:
        stream.flush()
    raw = kind(number, "wb", closefd=False)
    return io.TextIOWrapper(
        io.BufferedWriter(raw),
        encoding=getattr(stream, "encoding", None) or "utf-8",
        errors=getattr(stream, "errors", None) or "backslashreplace",
        line_buffering=number == _STDERR or raw.isatty(),
    )


def lost_reader() -> bool:
    """Return True if the reader of standard output has closed it."""
    return _STDOUT in _BROKEN


def mute_stdout() -> None:
    """Discard unwritten output. Python would retry the write at exit and end with code 120."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
