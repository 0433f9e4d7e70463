"""Environment variables that torchrun, and launchers like it, set for each process."""

from __future__ import annotations

import os

_VARIABLES = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")


def launched_processes() -> int:
    """Return the number of processes that were started together; 1 without a launcher."""
    size = os.environ.get("WORLD_SIZE", "")
    return int(size) if all(map(os.environ.get, _VARIABLES)) and size.isdigit() else 1


def launched_rank() -> int:
    """Return the rank of this process among those started together; 0 without a launcher."""
    rank = os.environ.get("RANK", "")
    return int(rank) if launched_processes() > 1 and rank.isdigit() else 0


def n_restarts() -> int:
    """Return how often torchrun has restarted its processes."""
    count = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")
    return int(count) if count.isdigit() else 0
