"""What only a real process shows: imports, pipes, streams."""

import os
import subprocess
import sys

import pytest

from latently.io import read

PROGRAM = [sys.executable, "-m", "latently"]
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}


def start(*arguments, stdin=None):
    command = [*PROGRAM, *(str(argument) for argument in arguments)]
    return subprocess.run(
        command, input=stdin, capture_output=True, env=ENVIRONMENT, check=False, timeout=120
    )


def test_data_flow_from_stdin_to_stdout_and_words_to_stderr(model, table, tmp_path):
    done = start("score", model, "-", "--id", "key", stdin=table.read_bytes())
    assert done.returncode == 0
    (tmp_path / "scores.csv").write_bytes(done.stdout)
    scores = read(tmp_path / "scores.csv")
    assert scores.column_names == ["key", "anomaly_score"]
    assert scores.num_rows == 60
    assert done.stderr.decode().splitlines() == [
        "warning: columns that the model does not know are ignored: label."
    ]


@pytest.mark.skipif(os.name == "nt", reason="needs a POSIX shell")
def test_a_closed_pipe_ends_quietly(model, tmp_path):
    command = " ".join([*PROGRAM, "sample", str(model), "-n", "50000", "| head -1"])
    done = subprocess.run(
        command, shell=True, capture_output=True, env=ENVIRONMENT, check=False, timeout=120
    )
    assert done.stdout.count(b"\n") == 1
    assert done.stderr == b""


def test_version_and_a_wrong_command():
    assert start("--version").stdout.startswith(b"latently ")
    wrong = start("juggle")
    assert wrong.returncode == 2
    assert b"Traceback" not in wrong.stderr
