"""The command line is quick to answer and tells what it can do."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from latently import __version__
from latently.cli._app import _COMMANDS
from latently.cli._examples import EXAMPLES
from latently.datasets import make_transactions
from latently.io import write, write_images

from .data import done, run

BRIEF = ("--max-epochs", "2", "--quiet")
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


@pytest.mark.parametrize("command", _COMMANDS)
def test_the_help_of_a_command_ends_with_its_example(command: str) -> None:
    lines = [line.strip() for line in done(command, "-h").out.decode().splitlines() if line.strip()]
    last = lines[lines.index("Example:") + 1 :]
    assert " ".join(last) == EXAMPLES[command]


def test_every_command_has_one_example_that_calls_it() -> None:
    assert list(EXAMPLES) == list(_COMMANDS)
    assert all(line.startswith(f"latently {name} ") for name, line in EXAMPLES.items())


@pytest.mark.long
def test_the_examples_run_one_after_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given: the files that the examples name.
    monkeypatch.chdir(tmp_path)
    write(make_transactions(300, missing_fraction=0.02, random_state=0).data, "transactions.csv")
    shades = np.random.default_rng(0).integers(0, 256, (20, 1, 1))
    write_images(np.broadcast_to(shades, (20, 8, 8)).astype(np.uint8), "scans")
    done("fit", "scans", "-o", "denoiser.safetensors", "--kind", "denoising", *BRIEF)
    done("fit", "transactions.csv", "-o", "vae.safetensors", "--kind", "variational", *BRIEF)
    # When: all but the demo, which has a test of its own.
    for name, line in EXAMPLES.items():
        if name == "watch":  # an alert has an exit code of its own
            assert run(*shlex.split(line)[1:]).code in (0, 10)
        elif name != "demo":
            done(*shlex.split(line)[1:])
    # Then
    assert {Path(word) for line in EXAMPLES.values() for word in re.findall(r"-o (\S+)", line)} <= {
        *Path().iterdir(),
        Path("demo-output"),
    }


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_for_completion_is_printed(shell: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION", "1")
    assert "_LATENTLY_COMPLETE" in done("--show-completion", shell).out.decode()


def test_completion_offers_the_commands_and_imports_nothing_heavy() -> None:
    # Given: what bash sets when the user presses Tab after "latently in".
    script = (
        "import atexit, sys\n"
        f"atexit.register(lambda: print('LOADED', [m for m in {_HEAVY} if m in sys.modules]))\n"
        "sys.argv = ['latently']\n"
        "from latently.cli import main\n"
        "main()\n"
    )
    asked = {"_LATENTLY_COMPLETE": "complete_bash", "COMP_WORDS": "latently in", "COMP_CWORD": "1"}
    # When
    answer = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True, text=True, env={**os.environ, **asked},
    )  # fmt: skip
    # Then
    assert answer.stdout.split("\n")[:2] == ["inverse-transform", "inspect"], answer.stderr
    assert answer.stdout.rstrip().endswith("LOADED []")


def test_the_version_is_that_of_the_package() -> None:
    assert done("--version").out.decode() == f"latently {__version__}\n"


def test_no_command_at_all_shows_the_help() -> None:
    answer = run()
    assert answer.code == 2
    assert "inverse-transform" in answer.out.decode() + answer.err
