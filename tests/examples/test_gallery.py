"""The examples of the gallery run as they stand, and each shows a figure."""

import runpy
from pathlib import Path

import matplotlib.pyplot as plt
import pytest
from matplotlib.figure import Figure

pytestmark = pytest.mark.long

EXAMPLES = sorted((Path(__file__).parents[2] / "examples").glob("*.py"))


@pytest.mark.parametrize("script", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_of_the_gallery_runs_and_shows_a_figure(script, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(plt, "show", lambda: None)
    names = runpy.run_path(str(script))
    plt.close("all")
    assert any(isinstance(thing, Figure) for thing in names.values())


def test_there_are_six_to_ten_examples():
    assert 6 <= len(EXAMPLES) <= 10
