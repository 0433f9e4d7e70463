"""No row is scored twice or lost, whenever the process is killed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from .conftest import ids, read_lines

PROGRAM = Path(__file__).parent / "kill_program.py"


def kill(model: Path, folder: Path, n_kills: int, seed: int) -> int:
    """Return the number of rows that were written between so many kills."""
    command = [sys.executable, PROGRAM, model, folder, n_kills, seed]
    done = subprocess.run(
        list(map(str, command)), capture_output=True, text=True, timeout=600, check=False
    )
    assert done.returncode == 0, done.stderr
    n_rows, n_killed, n_between = map(int, done.stdout.split())
    assert n_killed == n_kills
    assert n_between or n_kills < 100  # some kills fall between an output and its record
    return n_rows


@pytest.mark.parametrize(
    ("n_kills", "seed"), [(10, 0), pytest.param(100, 1, marks=pytest.mark.slow)]
)
def test_kills_at_random_calls_neither_lose_nor_repeat_a_row(
    model: Path, tmp_path: Path, n_kills: int, seed: int
):
    n_rows = kill(model, tmp_path, n_kills, seed)
    names = [f"r{number:05d}" for number in range(n_rows)]
    bad = [name for number, name in enumerate(names) if number % 10 == 5]
    assert ids(tmp_path / "scores.ndjson") == [name for name in names if name not in bad]
    set_aside = [entry["row"][:6] for entry in read_lines(tmp_path / "bad.ndjson")]
    assert set_aside == bad
    alerts = [a for a in read_lines(tmp_path / "alerts.ndjson") if a["kind"] == "anomaly"]
    flagged = [s["id"] for s in read_lines(tmp_path / "scores.ndjson") if s["alert"] == "sent"]
    assert [alert["id"] for alert in alerts] == flagged
    assert len({alert["key"] for alert in alerts}) == len(alerts)
    # A receiver of alerts gets each at least once, and knows repeated ones by their keys.
    sent = {a["key"]: a["id"] for a in read_lines(tmp_path / "sent.ndjson") if "id" in a}
    assert list(sent.items()) == [(alert["key"], alert["id"]) for alert in alerts]
