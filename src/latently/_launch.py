"""What torchrun, and whoever starts processes as it does, tells each of them."""

from __future__ import annotations

import os

_TOLD = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")


def told_n_workers() -> int:
    """Return how many processes were started together; 1 where nothing was told."""
    told = all(os.environ.get(name) for name in _TOLD)
    return int(os.environ["WORLD_SIZE"]) if told and os.environ["WORLD_SIZE"].isdigit() else 1


def told_rank() -> int:
    """Return the number of this process among those started together."""
    return int(os.environ["RANK"]) if told_n_workers() > 1 and os.environ["RANK"].isdigit() else 0


def n_restarts() -> int:
    """Return how often torchrun has started its processes anew."""
    told = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")
    return int(told) if told.isdigit() else 0
