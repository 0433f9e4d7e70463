"""The code and commands of the README and the how-to pages run as they stand."""

import doctest
import importlib
import pkgutil
import re
import shlex
from pathlib import Path

import pyarrow.csv
import pytest
from typer.testing import CliRunner

import latently
from latently.datasets import make_transactions

pytestmark = pytest.mark.long

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]


def blocks(page, language):
    """Return the fenced blocks of a language."""
    return re.findall(rf"```{language}\n(.*?)```", page.read_text(), re.DOTALL)


def commands(page):
    """Return the lines that call latently, taken apart at ``&&``."""
    lines = "".join(blocks(page, "console")).splitlines()
    calls = [call.strip() for line in lines for call in line.split("&&")]
    return [shlex.split(call)[1:] for call in calls if call.startswith("latently ")]


@pytest.fixture
def desk(tmp_path, monkeypatch):
    """A folder with the table that the pages speak of."""
    table = make_transactions(400, random_state=0).data
    (tmp_path / "demo-output").mkdir()
    for place in (tmp_path, tmp_path / "demo-output"):
        pyarrow.csv.write_csv(table, place / "transactions.csv")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_code_of_a_page_runs(page, desk):
    code = "\n".join(blocks(page, "python"))
    names = {}
    exec(compile(code, page.name, "exec"), names)  # noqa: S102 - our own pages
    assert len(names) > 1 or not code


@pytest.mark.parametrize("page", [page for page in PAGES if commands(page)], ids=lambda p: p.name)
def test_the_commands_of_a_page_run(page, desk):
    from latently.cli import app

    for arguments in commands(page):
        result = CliRunner().invoke(app, arguments)
        assert result.exit_code == 0, (arguments, result.output)


MODULES = sorted(
    module.name
    for module in pkgutil.walk_packages(latently.__path__, "latently.")
    if not module.name.endswith("__main__")
)


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_of_a_module_run(name):
    found = doctest.testmod(importlib.import_module(name))
    assert found.failed == 0


def test_every_public_name_is_listed_and_can_be_had():
    assert set(latently._MODULE_OF) | set(latently._MODULES) == set(latently.__all__)
    assert all(getattr(latently, name) is not None for name in latently.__all__)
    assert set(latently.__all__) <= set(dir(latently))
