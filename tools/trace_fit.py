"""Print which files and functions of latently the first fit of an ``Autoencoder`` goes through.

Run ``python tools/trace_fit.py``. With ``--list`` it prints every function, with ``--path`` the
calls that lead from ``fit`` to the first training step.
"""

from __future__ import annotations

import argparse
import sys
import threading
from collections import defaultdict
from pathlib import Path
from types import CodeType, FrameType

import numpy as np

import latently
from latently import Autoencoder

SOURCE = Path(latently.__file__).parent


#: Functions that take the gradients of a training step.
STEPS = ("Step.gradients", "RecordedStep.gradients")


def traced_fit() -> tuple[dict[str, list[str]], list[str]]:
    """Return the functions that a first fit calls, by file, and the calls to the first step."""
    seen: set[CodeType] = set()
    stack: list[str] = []

    def note(frame: FrameType, event: str, argument: object) -> None:
        if event == "call":
            seen.add(frame.f_code)
            if not stack and is_ours(frame.f_code) and frame.f_code.co_qualname in STEPS:
                stack.extend(calls_to(frame))

    model = Autoencoder(2, max_epochs=5, random_state=0)
    X = np.random.default_rng(0).normal(size=(200, 6))
    threading.setprofile(note)
    sys.setprofile(note)
    try:
        model.fit(X)
    finally:
        sys.setprofile(None)
        threading.setprofile(None)  # type: ignore[arg-type]
    found = defaultdict(list)
    for code in filter(is_ours, seen):
        found[str(Path(code.co_filename).relative_to(SOURCE))].append(code.co_qualname)
    return {path: sorted(names) for path, names in sorted(found.items())}, stack


def is_ours(code: CodeType) -> bool:
    """Return True for a function of latently. Lambdas belong to the function around them."""
    return Path(code.co_filename).is_relative_to(SOURCE) and not code.co_name.startswith("<")


def calls_to(frame: FrameType | None) -> list[str]:
    """Return the calls of latently that led to a frame, without those of decorators."""
    calls: list[str] = []
    while frame is not None:
        code = frame.f_code
        if is_ours(code) and code.co_name != "call":
            calls.insert(0, f"{Path(code.co_filename).relative_to(SOURCE)}: {code.co_qualname}")
        frame = frame.f_back
    return calls


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--list", action="store_true", help="Print every function.")
    parser.add_argument("--path", action="store_true", help="Print the calls to the first step.")
    arguments = parser.parse_args()
    found, stack = traced_fit()
    if arguments.path:
        print("\n".join(stack), end="\n\n")
    for path, names in found.items():
        print(f"{len(names):4}  {path}")
        if arguments.list:
            print("".join(f"        {name}\n" for name in names), end="")
    print(f"{len(found)} files, {sum(map(len, found.values()))} functions")
