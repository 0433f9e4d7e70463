"""Read regular files and standard input into memory, up to a maximum size."""

import gzip
import io
import os
import stat
import sys
import zlib
from pathlib import Path
from typing import BinaryIO

import pyarrow as pa

from latently.exceptions import DataError
from latently.io._messages import refuse

__all__ = [
    "DEFAULT_MAX_BYTES",
    "arrow_buffer",
    "arrow_reader",
    "check_regular",
    "gunzip",
    "is_folder",
    "load_bytes",
    "standard_input",
    "too_large",
]

# One gibibyte: ten times the size of common tables, and small machines can hold it.
DEFAULT_MAX_BYTES = 2**30


def load_bytes(source: str | Path, max_bytes: int) -> bytes:
    """Return all bytes of a regular file, or of standard input for ``"-"``.

    Parameters
    ----------
    source : str or Path
        The file, or ``"-"``.
    max_bytes : int
        Larger inputs are refused before they fill the memory.

    Returns
    -------
    bytes
        The content, never empty.

    Raises
    ------
    DataError
        If the file is missing, unreadable, not a regular file, empty or too large.
    """
    try:
        raw = _read_stdin(max_bytes) if str(source) == "-" else _read_file(source, max_bytes)
    except DataError:
        raise
    except (OSError, ValueError) as error:
        raise _unreadable(source, error) from None
    if not raw:
        raise refuse(source, "the file is empty (0 bytes)", "Give a file with data")
    if len(raw) > max_bytes:
        raise too_large(source, len(raw), max_bytes)
    return raw


def arrow_buffer(raw: bytes | memoryview) -> pa.Buffer:
    """Return a copy of bytes in memory that Arrow owns.

    A thread of Arrow may release its input shortly after the call returns. Releasing memory of
    Python needs the interpreter. If the interpreter is shutting down, the process aborts.

    Parameters
    ----------
    raw : bytes or memoryview
        The content.

    Returns
    -------
    pyarrow.Buffer
        The same bytes.
    """
    copy = pa.allocate_buffer(len(raw))
    with pa.FixedSizeBufferWriter(copy) as writer:
        writer.write(raw)
    return copy


def arrow_reader(raw: bytes | pa.Buffer) -> pa.NativeFile:
    """Return a reader over memory that Arrow owns.

    Parameters
    ----------
    raw : bytes or pyarrow.Buffer
        The content, which is copied, or a buffer from ``arrow_buffer``.

    Returns
    -------
    pyarrow.NativeFile
        At its beginning.
    """
    memory = raw if isinstance(raw, pa.Buffer) else arrow_buffer(raw)
    return pa.BufferReader(memory)  # noqa: TID251  # not of Python's memory


def is_folder(source: str | Path) -> bool:
    """Return True if a folder of this name exists, and False for invalid names.

    Parameters
    ----------
    source : str or Path
        The name.

    Returns
    -------
    bool
        True for a folder or a link to one.
    """
    return os.path.isdir(source)  # noqa: PTH112  # Path.is_dir raises for names that are too long


def check_regular(source: str | Path) -> None:
    """Raise DataError unless the source is a regular, non-empty file.

    Parameters
    ----------
    source : str or Path
        The file.
    """
    try:
        # stat before open: opening a FIFO would block until a writer opens it.
        size = _regular_size(source, os.stat(source))  # noqa: PTH116  # Path.stat is the same call
    except DataError:
        raise
    except (OSError, ValueError) as error:
        raise _unreadable(source, error) from None
    if size == 0:
        raise refuse(source, "the file is empty (0 bytes)", "Give a file with data")


def gunzip(source: str | Path, raw: bytes, max_bytes: int) -> bytes:
    """Return gzip content unpacked, and other bytes unchanged.

    Parameters
    ----------
    source : str or Path
        The file, for messages.
    raw : bytes
        Its content. The magic number shows whether it is gzip.
    max_bytes : int
        Largest unpacked size. It limits the memory that a decompression bomb can fill.

    Returns
    -------
    bytes
        The unpacked content.

    Raises
    ------
    DataError
        If the archive is damaged or unpacks to more than ``max_bytes``.
    """
    if not raw.startswith(b"\x1f\x8b"):
        return raw
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(raw)) as archive:
            unpacked = archive.read(max_bytes + 1)
    except (OSError, EOFError, zlib.error):
        raise refuse(source, "the gzip content is damaged or cut short", "Copy it again") from None
    if len(unpacked) > max_bytes:
        raise too_large(source, len(unpacked), max_bytes)
    return unpacked


def too_large(source: str | Path, size: int, max_bytes: int) -> DataError:
    """Return the error for an input that needs more than ``max_bytes`` of memory."""
    wrong = f"it needs at least {size} bytes of memory, and max_bytes is {max_bytes}"
    return refuse(source, wrong, "Split the data, or raise max_bytes")


def standard_input() -> BinaryIO:
    """Return standard input as a binary file.

    Returns
    -------
    binary file
        Open for reading.

    Raises
    ------
    DataError
        If it is closed.
    """
    if sys.stdin is None:
        raise refuse("-", "it is closed", "Pipe the data in, or name a file")
    return sys.stdin.buffer


def _read_stdin(max_bytes: int) -> bytes:
    return standard_input().read(max_bytes + 1)


def _read_file(source: str | Path, max_bytes: int) -> bytes:
    # stat before open: opening a FIFO would block until a writer opens it.
    size = _regular_size(source, os.stat(source))  # noqa: PTH116  # Path.stat is the same call
    if size > max_bytes:
        raise too_large(source, size, max_bytes)
    with open(source, "rb") as file:  # noqa: PTH123  # a str stays a str, NUL bytes included
        return file.read(size + 1)  # one byte more, to detect a file that has grown


def _regular_size(source: str | Path, status: os.stat_result) -> int:
    if stat.S_ISDIR(status.st_mode):
        raise refuse(source, "this is a folder, not a file", "Give a file")
    if not stat.S_ISREG(status.st_mode):
        raise refuse(source, "this is not a regular file", 'Pipe the data in and read "-"')
    return status.st_size


def _unreadable(source: str | Path, error: Exception) -> DataError:
    if isinstance(error, FileNotFoundError):
        return refuse(source, "there is no such file", "Check the path")
    reason = (error.strerror if isinstance(error, OSError) else str(error)) or "unknown reason"
    return refuse(source, f"it cannot be read ({reason.lower()[:60]})", "Check path and permission")
