"""Every way to fail has its own exit code and one plain message."""

import errno
import os
import signal

import pytest

import latently
from latently.cli._guard import exit_code
from latently.exceptions import (
    DataError,
    DivergenceError,
    MissingExtraError,
    ModelFileError,
    NotFittedError,
    OutputExistsError,
    ParameterError,
    ResourceError,
)
from latently.io import write
from tests.cli.conftest import make_table


def full_disk():
    try:
        raise OSError(errno.ENOSPC, "No space left on device")
    except OSError:
        return _raised_from(DataError("it cannot be written"))


def _raised_from(error):
    try:
        raise error from None
    except DataError as caught:
        return caught


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ZeroDivisionError(), 1),
        (ParameterError("x"), 2),
        (OutputExistsError("x"), 2),
        (DataError("x"), 3),
        (ModelFileError("x", "truncated"), 4),
        (NotFittedError("x"), 4),
        (DivergenceError("x"), 5),
        (ResourceError("x"), 5),
        (MemoryError(), 5),
        (OSError(errno.ENOSPC, "full"), 5),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory"), 5),
        (full_disk(), 5),
        (MissingExtraError("x"), 6),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else str(value),
)
def test_each_error_has_its_code(error, code):
    assert exit_code(error) == code


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("fit", "TABLE"), 2, "--output"),
        (("fit", "TABLE", "-o", "MODEL"), 2, "exists"),
        (("fit", "TABLE", "-o", "NEW", "--beta", 2), 2, "--beta belongs to --kind variational"),
        (
            ("fit", "TABLE", "-o", "NEW", "--kind", "sparse", "--refinement-steps", 2),
            2,
            "--refinement-steps belongs to --kind autoencoder",
        ),
        (("fit", "TABLE", "-o", "NEW", "--n-components", "two"), 2, "--n-components"),
        (("fit", "TABLE", "-o", "NEW", "--n-components", 0), 2, "n_components"),
        (("fit", "TABLE", "-o", "NEW", "--hidden-sizes", "a,b"), 2, "--hidden-sizes"),
        (("fit", "TABLE", "-o", "NEW", "--noise", "pink"), 2, "--noise"),
        (("fit", "TABLE", "-o", "NEW", "--id", "nokey"), 2, "nokey"),
        (("fit", "TABLE", "-o", "NEW", "--kind", "magic"), 2, "magic"),
        (("fit", "TABLE", "-o", "NEW", "--device", "abacus"), 2, "abacus"),
        (("fit", "NOTHING", "-o", "NEW"), 3, "nothing.csv"),
        (("transform", "MODEL", "OTHER"), 3, "missing"),
        (("transform", "MODEL", "TABLE", "-o", "MODEL"), 3, "Name the format with format"),
        (("transform", "MODEL", "TABLE", "--output-format", "xls"), 2, "xls"),
        (("transform", "TABLE", "TABLE"), 4, "table.csv"),
        (("inspect", "NOTHING"), 4, "nothing.csv"),
        (("inverse-transform", "MODEL", "TABLE"), 3, "columns of the code are missing"),
        (("score", "MODEL", "TABLE", "--contamination", 2), 2, "--contamination"),
        (("reconstruct", "MODEL", "TABLE", "--id", "width"), 2, "also a column of the answer"),
        (("sample", "MODEL", "-n", 0), 2, "n_samples"),
        (("juggle",), 2, "juggle"),
    ],
    ids=lambda value: " ".join(map(str, value)) if isinstance(value, tuple) else "",
)
def test_user_errors_end_in_their_code_and_a_message(run, folder, tmp_path, arguments, code, words):
    write(make_table().select(["length", "colour"]), tmp_path / "other.csv")
    places = {
        "TABLE": folder / "table.csv",
        "MODEL": folder / "model.safetensors",
        "NEW": tmp_path / "new.safetensors",
        "OTHER": tmp_path / "other.csv",
        "NOTHING": tmp_path / "nothing.csv",
    }
    result = run(*(places.get(argument, argument) for argument in arguments))
    assert result.exit_code == code, result.output
    assert words in " ".join(result.stderr.split())
    assert result.stdout == ""
    assert not (tmp_path / "new.safetensors").exists()


def test_existing_outputs_are_replaced_only_when_asked_for(run, model, table, tmp_path):
    path = tmp_path / "codes.csv"
    path.write_text("mine")
    refused = run("transform", model, table, "-o", path)
    assert (refused.exit_code, path.read_text()) == (2, "mine")
    assert run("transform", model, table, "-o", path, "--overwrite").exit_code == 0
    assert path.read_text().startswith('"autoencoder0"')


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["Ctrl-C", "SIGTERM"]
)
def test_an_interrupted_fit_saves_what_it_has(run, table, tmp_path, monkeypatch, number, code):
    advance = latently.training._run.Run.advance

    def advance_then_stop(self, stepper, n_steps):
        loss = advance(self, stepper, n_steps)
        if self.step > 4:
            os.kill(os.getpid(), number)
        return loss

    monkeypatch.setattr(latently.training._run.Run, "advance", advance_then_stop)
    path = tmp_path / "model.safetensors"
    result = run("fit", table, "-o", path, "--id", "key", "--max-epochs", 50)
    assert result.exit_code == code, result.output
    assert "interrupted; the model so far is in" in result.stderr
    assert latently.load(path).interrupted_


def test_an_interrupted_command_exits_130_and_writes_nothing(run, model, table, monkeypatch):
    def interrupt(self, X):
        raise KeyboardInterrupt

    monkeypatch.setattr(latently.Autoencoder, "transform", interrupt)
    result = run("transform", model, table)
    assert (result.exit_code, result.stdout) == (130, "")
    assert "interrupted" in result.stderr


def test_a_bug_is_called_a_bug_and_shows_its_traceback_only_when_asked(model, table, monkeypatch):
    from typer.testing import CliRunner

    from latently.cli import app

    def fail(self, X):
        raise ZeroDivisionError("surprise")

    monkeypatch.setattr(latently.Autoencoder, "transform", fail)
    arguments = ["transform", str(model), str(table)]
    quiet = CliRunner().invoke(app, arguments)
    loud = CliRunner().invoke(app, arguments, env={"LATENTLY_DEBUG": "1"})
    assert quiet.exit_code == loud.exit_code == 1
    assert "please report" in quiet.stderr
    assert "Traceback" not in quiet.stderr
    assert "Traceback" in loud.stderr
