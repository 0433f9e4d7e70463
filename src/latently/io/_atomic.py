"""Atomic writing: an output is written completely or not at all."""

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
    """Raise an error if an output exists or cannot be written, before any long work.

    Parameters
    ----------
    target : str or Path
        The file or folder to write. ``"-"`` always passes.
    overwrite : bool, default=False
        If True, an existing file may be replaced.
    folder : bool, default=False
        If True, the output is a folder, and an empty folder may exist.

    Raises
    ------
    OutputExistsError
        If the output exists and ``overwrite`` is False.
    DataError
        If the folder of the output is missing, or the output is a link or a device.
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
    """Yield a temporary file in the folder of the target, and rename it if the block succeeds.

    The temporary file is created exclusively, flushed to disk and renamed to the target. Its
    folder is flushed as well. If the block fails, the old file is intact and the temporary file
    is deleted.

    Parameters
    ----------
    target : str or Path
        The file to write.
    overwrite : bool, default=False
        If True, replace an existing file.

    Yields
    ------
    Path
        An empty file in the folder of ``target``, to be written within the block.

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
    """Call ``fill`` to write the target atomically, or standard output for ``"-"``.

    Parameters
    ----------
    target : str or Path
        The file to write, or ``"-"``.
    fill : callable
        Called once with an open binary file.
    overwrite : bool, default=False
        If True, replace an existing file.
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
        All that is written reaches its destination, or an error is raised.

    Raises
    ------
    DataError
        If the system refuses to write (closed, full disk).
    BrokenPipeError
        If the reader of a pipe has closed it.
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
    """Yield a buffered stream. With PYTHONUNBUFFERED=1 standard output has no buffer.

    Without a buffer the system may write a part and report no error.
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
    """Return a random hidden file name, short enough for any file system."""
    return f".latently-{secrets.token_hex(8)}.tmp"


def sync_folder(folder: Path) -> None:
    """Flush the entries of a folder to disk, if the system supports it (not on Windows)."""
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
            f"{show(path)}: the output exists. Choose another name, or overwrite it "
            "(overwrite=True, --overwrite)."
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
