"""Print which files and functions of latently the first fit of an ``Autoencoder`` goes through.

Run ``python tools/trace_fit.py``, or ``python tools/trace_fit.py --list`` for every function.
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


def traced_fit() -> dict[str, list[str]]:
    """Return the functions that a first fit calls, by file."""
    seen: set[CodeType] = set()

    def note(frame: FrameType, event: str, argument: object) -> None:
        if event == "call":
            seen.add(frame.f_code)

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
    for code in seen:
        path = Path(code.co_filename)
        # Code of modules, lambdas and comprehensions is a part of what calls it.
        if path.is_relative_to(SOURCE) and not code.co_name.startswith("<"):
            found[str(path.relative_to(SOURCE))].append(code.co_qualname)
    return {path: sorted(names) for path, names in sorted(found.items())}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--list", action="store_true", help="Print every function.")
    arguments = parser.parse_args()
    found = traced_fit()
    for path, names in found.items():
        print(f"{len(names):4}  {path}")
        if arguments.list:
            print("".join(f"        {name}\n" for name in names), end="")
    print(f"{len(found)} files, {sum(map(len, found.values()))} functions")
