"""Kill watches at random calls, between which rows arrive: MODEL FOLDER KILLS SEED."""

from __future__ import annotations

import json
import os
import random
import signal
import sys
from pathlib import Path
from types import FrameType

from latently import load
from latently.monitoring import FileSource, Watch

_ROWS_A_ROUND, _BATCH = 9, 4
#: Files whose calls are counted, and about as many calls as a round makes in them.
_FILES = tuple(
    f"{folder}{os.sep}{name}.py"
    for folder, names in {
        "monitoring": ("_run", "_file", "_ledger", "_outbox", "_rules", "_state", "_watch"),
        "io": ("_atomic",),
    }.items()
    for name in names
)
_CALLS = 2_000


def main(model: str, folder: str, n_kills: int, seed: int) -> None:
    """Print the number of rows, of kills, and of kills between an output and its record."""
    detector, root, chance = load(model), Path(folder), random.Random(seed)
    watch = Watch(
        detector=detector, source=FileSource(root / "new.csv"), state=root / "state.json",
        alerts=root / "alerts.ndjson", scores=root / "scores.ndjson", id="id",
        bad_rows=root / "bad.ndjson", batch_size=_BATCH, print_alerts=True,
        send=lambda line: _append(root / "sent.ndjson", line.decode()),
    )  # fmt: skip
    killed = between = number = 0
    text = "id,code,amount\n"
    while killed < n_kills:
        for _ in range(_ROWS_A_ROUND):
            bad = number % 10 == 5
            text += f"r{number:05d},001,{'bad' if bad else 9_000 if number % 3 else 12}\n"
            number += 1
        middle = len(text) - 7  # the last line is not complete yet
        _append(root / "new.csv", text[:middle])
        killed += _is_killed(watch, chance.randrange(_CALLS))
        between += _is_beyond_record(root)
        _append(root / "new.csv", text[middle:])
        text = ""
    watch.run(once=True)
    print(number, killed, between)


def _append(path: Path, text: str) -> None:
    with path.open("a") as file:
        file.write(text)


def _is_beyond_record(root: Path) -> bool:
    """Return True if the scores hold lines that the state does not record."""
    path, state = root / "scores.ndjson", root / "state.json"
    lengths = json.loads(state.read_text())["lengths"] if state.exists() else {}
    recorded = lengths.get(f"scores {path.resolve()}", 0)
    return path.exists() and path.stat().st_size > recorded


def _is_killed(watch: Watch, n_calls: int) -> bool:
    """Run a watch in a child, which kills itself after so many calls."""
    child = os.fork()
    if child == 0:
        _kill_after(n_calls)
        watch.run(once=True)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0, status
    return os.WIFSIGNALED(status)


def _kill_after(n_calls: int) -> None:
    remaining = n_calls

    def count(frame: FrameType, *_: object) -> None:
        nonlocal remaining
        remaining -= frame.f_code.co_filename.endswith(_FILES)
        if remaining < 0:
            os.kill(os.getpid(), signal.SIGKILL)

    sys.setprofile(count)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
