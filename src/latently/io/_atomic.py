"""Writing that either happens whole or not at all."""

import contextlib
import io
import os
import secrets
import stat
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from latently.exceptions import DataError, OutputExistsError
from latently.io._messages import refuse, show

__all__ = [
    "atomic_path",
    "check_output",
    "standard_output",
    "sync",
    "sync_folder",
    "temporary_name",
    "write_bytes",
]

_STDOUT = "standard output"


def check_output(target: str | Path, overwrite: bool = False, *, folder: bool = False) -> None:
    """Refuse an output that exists, before any long work is done for it.

    Parameters
    ----------
    target : str or Path
        The file (or folder) that will be written; ``"-"`` is always fine.
    overwrite : bool, default=False
        Allow a file that exists to be replaced.
    folder : bool, default=False
        The output is a folder: an empty one may exist.

    Raises
    ------
    OutputExistsError
        If the output exists and ``overwrite`` is False.
    DataError
        If the output can never be written: its folder is missing, or it is a link or device.
    """
    if str(target) == "-":
        return
    if str(target).endswith(("/", os.sep)) and not folder:
        raise refuse(target, "the name ends in a slash, as of a folder", "Name a file")
    try:
        _check_path(Path(target), overwrite, folder)
    except (DataError, OutputExistsError):
        raise
    except (OSError, ValueError) as error:
        raise _unwritable(target, error) from None


@contextmanager
def atomic_path(target: str | Path, overwrite: bool = False) -> Iterator[Path]:
    """Give a temporary file beside the target, and put it in place if the block succeeds.

    The temporary file is created exclusively, flushed to disk, renamed over the target,
    and its folder flushed. If the block fails, the old file is intact and nothing is left.

    Parameters
    ----------
    target : str or Path
        The file to write.
    overwrite : bool, default=False
        Replace a file that exists.

    Yields
    ------
    Path
        An empty file in the folder of ``target``; write it whole within the block.

    Raises
    ------
    OutputExistsError
        If the target exists and ``overwrite`` is False.
    DataError
        If the system refuses to write (permission, full disk, missing folder).
    """
    check_output(target, overwrite)
    final = Path(target)
    temporary = final.with_name(temporary_name())
    try:
        with _system_errors_named(target):
            os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
            yield temporary
            sync(temporary)
            check_output(target, overwrite)
            temporary.replace(final)
            sync_folder(final.parent)
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def write_bytes(
    target: str | Path, fill: Callable[[BinaryIO], object], overwrite: bool = False
) -> None:
    """Let ``fill`` write into the target atomically, or into standard output for ``"-"``.

    Parameters
    ----------
    target : str or Path
        The file to write, or ``"-"``.
    fill : callable
        Called once with an open binary file.
    overwrite : bool, default=False
        Replace a file that exists.
    """
    if str(target) == "-":
        with standard_output() as stream:
            fill(stream)
        return
    with atomic_path(target, overwrite) as temporary, temporary.open("wb") as file:
        fill(file)


@contextmanager
def standard_output() -> Iterator[BinaryIO]:
    """Yield standard output as a binary file, and flush it at the end.

    Yields
    ------
    binary file
        What is written reaches its destination whole, or an error is raised.

    Raises
    ------
    DataError
        If the system refuses to write (closed, full disk).
    BrokenPipeError
        If the reader of a pipe is gone.
    """
    if sys.stdout is None:
        raise refuse(_STDOUT, "it is closed", "Redirect it, or name a file")
    with _system_errors_named(_STDOUT):
        sys.stdout.flush()
        with _whole(sys.stdout.buffer) as stream:
            yield stream
            stream.flush()


@contextmanager
def _whole(stream: BinaryIO) -> Iterator[BinaryIO]:
    """Give a stream a buffer if it has none, as with PYTHONUNBUFFERED=1.

    Without one the system may write a part and report no error.
    """
    if not isinstance(stream, io.RawIOBase):
        yield stream
        return
    buffered = io.BufferedWriter(stream)
    try:
        yield buffered
    finally:
        with contextlib.suppress(OSError):
            buffered.detach()


def temporary_name() -> str:
    """A fresh hidden name; short, so that a 255-byte target still has room beside it."""
    return f".latently-{secrets.token_hex(8)}.tmp"


def sync_folder(folder: Path) -> None:
    """Flush a folder's entries to disk, where the system knows how (not on Windows)."""
    with contextlib.suppress(OSError):
        sync(folder)


def sync(path: Path) -> None:
    """Flush a file to disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def _system_errors_named(target: str | Path) -> Iterator[None]:
    try:
        yield
    except (OutputExistsError, BrokenPipeError):
        raise
    except OSError as error:
        raise _unwritable(target, error) from None


def _check_path(path: Path, overwrite: bool, folder: bool) -> None:
    if not path.parent.is_dir():
        raise refuse(path, "its folder does not exist", "Create the folder first")
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    _check_kind(path, mode, folder)
    if not overwrite and not (folder and not any(path.iterdir())):
        raise OutputExistsError(
            f"{show(path)}: the output exists. Choose another name or allow to overwrite it."
        )


def _check_kind(path: Path, mode: int, folder: bool) -> None:
    # Renaming over a link or a device would replace the link or the device itself.
    expected = stat.S_ISDIR(mode) if folder else stat.S_ISREG(mode)
    if not expected:
        wanted = "folder" if folder else "regular file"
        raise refuse(path, f"it exists and is not a {wanted}", "Choose another output name")


def _unwritable(target: str | Path, error: Exception) -> DataError:
    reason = (error.strerror if isinstance(error, OSError) else str(error)) or "unknown reason"
    return refuse(
        target, f"it cannot be written ({reason.lower()[:60]})", "Check path, permission and disk"
    )
