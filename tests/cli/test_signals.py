"""A process that is signalled while it trains keeps its best model."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import pytest

from latently.persistence import load

from .data import run, start


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such signal")
@pytest.mark.parametrize(("name", "code"), [("SIGTERM", 143), ("SIGHUP", 129)])
def test_a_terminated_fit_saves_its_best_weights(
    shelf: Path, tmp_path: Path, name: str, code: int
) -> None:
    # Given: a training that would take a minute, and a terminal that hears of its evaluations.
    model, (reader, writer) = tmp_path / "model.safetensors", os.openpty()
    words = ["fit", shelf / "rows.csv", "--id", "id", "-o", model, "--max-epochs", "10000"]
    process = start(*words, stderr=writer)
    os.close(writer)
    heard = b""
    while b"valid" not in heard:
        heard += os.read(reader, 1024)
    # When
    process.send_signal(getattr(signal, name))
    heard += _rest(reader)
    out, _ = process.communicate(timeout=30)
    # Then
    assert (process.returncode, out) == (code, b""), heard.decode()
    assert b"Traceback" not in heard and b"interrupted; the model so far is in" in heard
    fitted = load(model)
    assert fitted.interrupted_ and fitted.history_.best_step > 0
    assert [path.name for path in tmp_path.iterdir()] == [model.name]


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such signal")
def test_a_signal_that_is_ignored_stays_so() -> None:
    from latently.cli._guard import _signals

    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with _signals() as caught:
            os.kill(os.getpid(), signal.SIGHUP)
        assert caught == [] and signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def _rest(reader: int) -> bytes:
    """Read a terminal until the process at its other end is gone."""
    heard = b""
    try:
        while more := os.read(reader, 4096):
            heard += more
    except OSError:
        # Linux reports the end of a terminal as an error.
        assert sys.platform != "win32"
    os.close(reader)
    return heard


def test_a_fit_stopped_before_it_was_judged_says_that_it_learnt_nothing(
    shelf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(run: object, stepper: object, n_steps: int) -> float:
        raise KeyboardInterrupt

    monkeypatch.setattr("latently.training._run.Run.advance", interrupt)
    picture = tmp_path / "history.png"
    words = ["fit", shelf / "rows.csv", "--id", "id", "--plot", picture]
    answer = run(*words, "-o", tmp_path / "model.safetensors")
    assert answer.code == 130 and picture.exists()
    assert "its weights are those of the start" in answer.err
