"""The pages around the code: complete, with pictures that exist, in lines that can be read."""

import re
import runpy
import tomllib
from pathlib import Path

import pytest

import latently
from latently import datasets, exceptions, monitoring

ROOT = Path(__file__).parents[2]
PROJECT = "https://github.com/latently/latently"
PAGES = sorted((ROOT / "docs").rglob("*.md"))
JOBS = re.findall(r"^[a-z-]+$", (ROOT / "docs" / "guide.md").read_text(), re.MULTILINE)


def listed(module):
    """Return the names that the API reference lists below a module."""
    parts = (ROOT / "docs" / "api.rst").read_text().split(".. currentmodule:: ")[1:]
    found = [re.findall(r"^   (\w+)$", part, re.MULTILINE) for part in parts]
    names = [part.split("\n")[0] for part in parts]
    return {name for place, several in zip(names, found, strict=True) if place == module
            for name in several}  # fmt: skip


def test_the_reference_lists_every_public_name():
    modules = {"datasets", "exceptions", "io", "monitoring"}
    assert listed("latently") == set(latently.__all__) - modules
    assert listed("latently.datasets") == set(datasets.__all__)
    assert listed("latently.monitoring") == set(monitoring.__all__)
    assert listed("latently.exceptions") == set(exceptions.__all__)


@pytest.mark.parametrize("module", ["latently.inspection", "latently.io"])
def test_the_names_that_the_reference_lists_exist(module):
    home = __import__(module, fromlist=["__all__"])
    assert listed(module) and listed(module) <= set(home.__all__)


def test_every_picture_of_the_readme_is_a_file_of_the_project():
    readme = (ROOT / "README.md").read_text()
    pictures = re.findall(r"!\[[^\]]*\]\(([^)]*)\)", readme)
    assert pictures
    for picture in pictures:
        assert picture.startswith(f"{PROJECT}/raw/main/docs/images/")
        assert (ROOT / picture.removeprefix(f"{PROJECT}/raw/main/")).is_file()


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.stem)
def test_the_local_links_of_a_page_lead_to_files(page):
    for link in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text()):
        assert (page.parent / link).exists(), link


@pytest.mark.parametrize("name", JOBS)
def test_every_page_of_the_guide_exists(name):
    assert (ROOT / "docs" / f"{name}.md").is_file()


def test_every_page_of_the_docs_is_in_a_table_of_contents():
    wanted = "\n".join(page.read_text() for page in PAGES).splitlines()
    for page in (ROOT / "docs").glob("*.md"):
        assert page.stem in wanted or page.stem == "index"


def reflowed(text):
    """Return a page with its long lines broken, as ``tools/reflow.py`` does."""
    return runpy.run_path(str(ROOT / "tools" / "reflow.py"))["reflowed"](text)


def test_reflowing_breaks_long_paragraphs_and_items_alone():
    word, code = "word " * 30, "x = " + "1 + " * 30 + "1"
    page = f"# {word}\n\n{word}\n- {word}\n\n```python\n{code}\n```\n\n| {word} |\n"
    lines = reflowed(page).split("\n")
    long = [line for line in lines if len(line) > 100]
    assert long == [f"# {word}", code, f"| {word} |"]
    assert [line for line in lines if line.startswith("- ")] == ["- " + "word " * 18 + "word"]
    assert " ".join(lines).split() == page.split()


@pytest.mark.parametrize("mark", ["-", "12.", "#", ">"])
@pytest.mark.parametrize("start", ["x ", ""], ids=["two words", "one word"])
def test_reflowing_starts_no_list_and_no_heading(start, mark):
    lines = reflowed(f"{start}{'a' * 98} {mark} {'b' * 9}").split("\n")
    assert all(line and not line.startswith(mark) for line in lines)


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.stem)
def test_a_page_that_was_reflowed_is_left_alone(page):
    once = reflowed(page.read_text())
    assert reflowed(once) == once


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.stem)
def test_the_lines_of_a_page_have_at_most_100_characters(page):
    lines = [line for line in page.read_text().splitlines() if not line.lstrip().startswith("|")]
    long = [line for line in lines if len(line) > 100 and "://" not in line]
    assert not long, "python tools/reflow.py breaks them"


def test_the_citation_and_the_package_have_one_version():
    cited = re.search(r"^version: (.*)$", (ROOT / "CITATION.cff").read_text(), re.MULTILINE)
    package = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert cited.group(1) == package["version"] == latently.__version__
    assert set(package["urls"]) >= {"Homepage", "Documentation", "Source", "Issues", "Changelog"}


def test_no_docstring_begins_with_a_question():
    tool = runpy.run_path(str(ROOT / "tools" / "language.py"))
    assert tool["riddles"](list(tool["docstrings"]())) == []
