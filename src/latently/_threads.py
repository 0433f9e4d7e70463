"""Threads: how many are wanted, and whether the system grants them."""

from __future__ import annotations

import os
import threading


def lacks_threads(n_threads: int) -> str | None:
    """Return why work cannot begin, if the system grants too few threads.

    Numerical libraries end the process, without an exception, if they cannot start a thread.

    Parameters
    ----------
    n_threads : int
        Threads that must be able to run at the same time, besides this one.

    Returns
    -------
    str or None
        The message of an error, None if the threads can be started.
    """
    is_over = threading.Event()
    started: list[threading.Thread] = []
    try:
        for _ in range(n_threads):
            thread = threading.Thread(target=is_over.wait, daemon=True)
            thread.start()
            started.append(thread)
    except RuntimeError:
        return (
            f"The system must grant {n_threads:,} threads, got {len(started):,}. Raise the limit "
            "of processes (ulimit -u, or pids of the container), or set OMP_NUM_THREADS=1."
        )
    finally:
        is_over.set()
        for thread in started:
            thread.join()
    return None


def n_usable_processors() -> int:
    """Return the number of threads that numerical libraries start: OMP_NUM_THREADS, or processors.

    Returns
    -------
    int
        At least 1.
    """
    wanted = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()
    if wanted.isdigit() and int(wanted):
        return int(wanted)
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
