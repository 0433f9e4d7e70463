"""Free memory and disk space, checked before large work so that it fails with a clear error."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from latently.exceptions import ResourceError
from latently.io._messages import show

__all__ = ["check_disk", "check_memory", "free_memory", "is_out_of_memory", "memory_errors_named"]

_MEMORY_FILES = (
    ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"),
    ("/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/memory/memory.usage_in_bytes"),
)


def free_memory() -> int | None:
    """Return the bytes that can be allocated without swapping, or None if unknown.

    The memory limit of a container is taken into account.
    """
    known = [size for size in (_of_machine(), *map(_of_container, _MEMORY_FILES)) if size]
    return min(known, default=None)


def check_memory(needed: float, task: str, remedy: str, allowed: float | None = None) -> None:
    """Raise ResourceError if a task needs more memory than is free or allowed.

    Parameters
    ----------
    needed : float
        Estimated need in bytes.
    task : str
        Name of the task in the message.
    remedy : str
        Advice, the last sentence of the message.
    allowed : float or None, default=None
        Limit in bytes set by the user. With None only the free memory counts.
    """
    free = free_memory()
    if free is not None and needed > free:
        words = f"{_bytes(free)} are free"
    elif allowed is not None and needed > allowed:
        words = f"{_bytes(allowed)} are allowed"
    else:
        return
    raise ResourceError(f"{task} needs about {_bytes(needed)} of memory, {words}. {remedy}.")


def check_disk(folder: str | Path, needed: float, output: str) -> None:
    """Raise ResourceError if a disk has less free space than an output needs.

    Parameters
    ----------
    folder : str or Path
        A folder on the disk.
    needed : float
        Estimated need in bytes.
    output : str
        Name of the output in the message.
    """
    try:
        free = shutil.disk_usage(folder).free
    except OSError:
        return  # writing will raise the error
    if needed > free:
        raise ResourceError(
            f"{show(folder)}: {output} needs about {_bytes(needed)} of disk, {_bytes(free)} "
            "are free. Make room, or name another folder."
        )


def is_out_of_memory(error: BaseException) -> bool:
    """Return True for errors of memory allocation on CPU or GPU.

    Parameters
    ----------
    error : BaseException
        Any error.

    Returns
    -------
    bool
        True if memory ran out.
    """
    # On the CPU torch raises a RuntimeError that only its message identifies.
    in_words = isinstance(error, RuntimeError) and "can't allocate memory" in str(error)
    return isinstance(error, MemoryError) or in_words or type(error).__name__ == "OutOfMemoryError"


@contextmanager
def memory_errors_named(task: str) -> Iterator[None]:
    """Raise ResourceError if the block runs out of memory.

    Parameters
    ----------
    task : str
        Name of the task in the message.
    """
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        free = free_memory()
        left = "" if free is None else f", {_bytes(free)} are left"
        raise ResourceError(
            f"{task} ran out of memory{left}. Take a smaller batch_size, fewer rows or narrower "
            "layers."
        ) from None


def _of_machine() -> int | None:
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        return next(1024 * int(line.split()[1]) for line in lines if "MemAvailable" in line)
    except (OSError, ValueError, StopIteration):
        pass
    try:
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):
        return None


def _of_container(files: tuple[str, str]) -> int | None:
    try:
        limit, used = (int(Path(name).read_text()) for name in files)
    except (OSError, ValueError):
        return None  # no limit, or none that is a number
    return max(limit - used, 1)


def _bytes(size: float) -> str:
    for unit, length in (("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10)):
        if size >= length:
            return f"{size / length:.1f} {unit}"
    return f"{size:.0f} bytes"
