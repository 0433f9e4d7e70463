"""Number of threads of numerical libraries, and a test that the system allows them."""

from __future__ import annotations

import os
import threading


def lacks_threads(n_threads: int) -> str | None:
    """Return an error message if the system does not allow enough threads, or None.

    Numerical libraries abort the process without an exception if they cannot start a thread.

    Parameters
    ----------
    n_threads : int
        Number of threads that must run at the same time, in addition to this one.

    Returns
    -------
    str or None
        The message of an error, or None if the threads can be started.
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
    """Return the number of threads of numerical libraries: OMP_NUM_THREADS, or the processors.

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
