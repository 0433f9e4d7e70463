"""The notebook of the docs runs, and its saved file stays small and readable."""

import os
import sys
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

import latently

pytestmark = pytest.mark.long

PAGE = Path(__file__).parents[2] / "docs" / "first-steps.ipynb"
SOURCE = Path(latently.__file__).parents[1]
MAX_BYTES = 200_000


def executed(notebook, folder, monkeypatch):
    """Run the cells in a kernel of this interpreter that imports this checkout."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(SOURCE), *filter(None, sys.path)]))
    # The settings of pytest are not those of the kernel; its transport is a file in a folder.
    monkeypatch.delenv("PYTHONWARNINGS", raising=False)
    client = NotebookClient(
        notebook, timeout=300, record_timing=False, resources={"metadata": {"path": str(folder)}}
    )
    client.execute()
    return notebook


def outputs_of(notebook):
    return [output for cell in notebook.cells for output in cell.get("outputs", [])]


def texts_of(notebook):
    data = [output.get("data", {}) for output in outputs_of(notebook)]
    streams = [output.get("text", "") for output in outputs_of(notebook)]
    return [one.get("text/plain", "") + one.get("text/html", "") for one in data] + streams


@pytest.fixture
def page(tmp_path, monkeypatch):
    return executed(nbformat.read(PAGE, as_version=4), tmp_path, monkeypatch)


def assert_small_and_readable(notebook):
    text = nbformat.writes(notebook)
    assert len(text.encode()) < MAX_BYTES
    assert not any(output.output_type in ("stream", "error") for output in outputs_of(notebook))
    assert max(map(len, texts_of(notebook))) < 5_000
    assert all("<" not in one.get("text/plain", "").replace("<ShownFigure", "")
               for one in (output.get("data", {}) for output in outputs_of(notebook)))  # fmt: skip


@pytest.mark.filterwarnings("default")  # of the kernel's own processes and sockets
def test_the_cells_run_and_the_saved_notebook_is_small_and_readable(page, tmp_path):
    assert_small_and_readable(page)
    data = [output.get("data", {}) for output in outputs_of(page)]
    assert sum("image/png" in one for one in data) == 4
    assert any("<table>" in one.get("text/html", "") for one in data)
    assert (tmp_path / "report.html").exists()
    assert '<iframe src="report.html"' in data[-1]["text/html"]


def test_the_stored_notebook_is_small_readable_and_without_paths_of_a_machine():
    stored = nbformat.read(PAGE, as_version=4)
    assert_small_and_readable(stored)
    assert not any("/home/" in text or "site-packages" in text for text in texts_of(stored))


PROGRESS = """
import numpy as np, latently
X = np.random.default_rng(0).normal(size=(300, 4))
model = latently.Autoencoder(2, max_epochs=60, verbose=True, random_state=0).fit(X)
"""


@pytest.mark.filterwarnings("default")
def test_progress_is_one_line_of_a_saved_notebook(tmp_path, monkeypatch):
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(PROGRESS)])
    (output,) = outputs_of(executed(notebook, tmp_path, monkeypatch))
    text = output["data"]["text/plain"]
    assert text.startswith("Autoencoder: ") and "train" in text and "\n" not in text
