"""The demo: thin in the command line, whole in the slow suite."""

import numpy as np
import pytest


def test_demo_refuses_a_folder_that_holds_files(run, tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    result = run("demo", "-o", tmp_path)
    assert result.exit_code == 2
    assert "exists" in result.stderr


@pytest.mark.slow
def test_demo_leaves_its_pictures_and_prints_its_figures(run, tmp_path):
    result = run("demo", "-o", tmp_path / "demo")
    assert result.exit_code == 0, result.output
    names = {path.name for path in (tmp_path / "demo").iterdir()}
    pictures = {"reconstructions", "map", "anomalies", "fills", "samples", "denoising"}
    assert {f"{name}.png" for name in pictures} <= names
    assert "transactions: find frauds" in result.stdout
    assert "bit for bit as the saved one: yes" in result.stdout
    assert "warning" not in result.stderr
    assert np.char.count(result.stdout, "nan") == 0
