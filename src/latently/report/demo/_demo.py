"""Demonstration of the main tasks on data without download, with figures and plots."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from latently.report.demo import _images, _tables

ShowStep = Callable[[str], object]


def run_demo(folder: str | Path, show_step: ShowStep) -> dict[str, Any]:
    """Run the main jobs, write pictures and files, and return the figures.

    Parameters
    ----------
    folder : str or Path
        Output folder. It is created if it does not exist.
    show_step : callable
        Called with one line at the start of each step.

    Returns
    -------
    dict
        One entry a data set, then "files" and "seconds".
    """
    root = Path(folder)
    root.mkdir(exist_ok=True)
    before = time.perf_counter()
    with _one_thread(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        figures: dict[str, Any] = {
            "transactions": _tables.show_transactions(root, show_step),
            "breast_cancer": _tables.show_breast_cancer(root, show_step),
            "digits": _images.show_digits(root, show_step),
        }
    files = sorted(path.name for path in root.iterdir() if path.is_file())
    seconds = time.perf_counter() - before
    return {**figures, "folder": str(root), "files": files, "seconds": seconds}


@contextmanager
def _one_thread() -> Iterator[None]:
    """Limit torch to one thread, which is as fast for small models and avoids contention.

    The figures also stay the same whatever the number of cores.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
