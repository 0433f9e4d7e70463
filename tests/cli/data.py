"""Small files for the command line, and a way to run it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from typer.testing import CliRunner

from latently.cli import app
from latently.io import read

FAST = ["--max-epochs", "3", "--n-components", "2", "--quiet"]
NUMBERS = ["height", "width", "depth", "weight"]


class Answer(NamedTuple):
    """What a command left behind."""

    code: int
    out: bytes
    err: str


def run(*words: Any, stdin: bytes = b"") -> Answer:
    """Run a command in this process; what escapes the command line's guard is raised."""
    result = CliRunner().invoke(app, [str(word) for word in words], input=stdin)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return Answer(result.exit_code, result.stdout_bytes, result.stderr)


def done(*words: Any, stdin: bytes = b"") -> Answer:
    """Run a command that has to succeed."""
    answer = run(*words, stdin=stdin)
    assert answer.code == 0, answer.err
    return answer


def shell(*words: Any) -> list[str]:
    """Return the command line as a process of its own."""
    return [sys.executable, "-m", "latently", *map(str, words)]


def start(*words: Any, **options: Any) -> subprocess.Popen[bytes]:
    """Start the command line as a process of its own."""
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(shell(*words), env=environment, **pipes)


def table(n_rows: int = 60, seed: int = 0) -> pa.Table:
    """Return ids, four numbers that hang together, a word, and no gaps."""
    rng = np.random.default_rng(seed)
    size = rng.normal(size=n_rows)
    numbers = {name: size + 0.1 * rng.normal(size=n_rows) for name in NUMBERS}
    words = np.where(size > 0, "large", "small").tolist()
    return pa.table({"id": [f"r{i:03}" for i in range(n_rows)], **numbers, "kind": words})


def with_gaps(data: pa.Table) -> pa.Table:
    """Take every seventh cell of the numbers away."""
    columns = data.to_pydict()
    for place, name in enumerate(NUMBERS):
        columns[name][place::7] = [None] * len(columns[name][place::7])
    return pa.table(columns, schema=data.schema)


def answer_table(answer: Answer, folder: Path) -> pa.Table:
    """Read what a command wrote to stdout as CSV."""
    path = folder / "stdout.csv"
    path.write_bytes(answer.out)
    return read(path)
