"""The command line is quick to answer and tells what it can do."""

import subprocess
import sys

import pytest

from latently import __version__
from latently.cli._app import _COMMANDS

from .data import done, run

_HEAVY = ("torch", "sklearn", "pyarrow", "matplotlib", "numpy", "pandas")


@pytest.mark.parametrize("words", [["--help"], ["fit", "--help"], ["--version"]], ids=" ".join)
def test_help_imports_nothing_heavy(words: list[str]) -> None:
    # Given: a process that says at its end what it imported.
    script = (
        "import atexit, sys\n"
        f"atexit.register(lambda: print('LOADED', [m for m in {_HEAVY} if m in sys.modules]))\n"
        f"sys.argv = ['latently', *{words}]\n"
        "from latently.cli import main\n"
        "main()\n"
    )
    # When
    answer = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    # Then
    assert answer.returncode == 0, answer.stderr
    assert answer.stdout.rstrip().endswith("LOADED []")


@pytest.mark.parametrize("command", _COMMANDS)
def test_every_command_explains_itself(command: str) -> None:
    answer = done(command, "-h")
    assert "Usage" in answer.out.decode() and not answer.err


def test_the_version_is_that_of_the_package() -> None:
    assert done("--version").out.decode() == f"latently {__version__}\n"


def test_no_command_at_all_shows_the_help() -> None:
    answer = run()
    assert answer.code == 2
    assert "inverse-transform" in answer.out.decode() + answer.err
