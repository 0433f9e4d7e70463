"""Draw the pictures of the pages that no example of the pages saves itself.

Run ``python tools/pictures.py`` after what they show has changed. The picture of the report needs
Chromium, and is left as it is without it.
"""

from __future__ import annotations

import os
import re
import runpy
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

ROOT = Path(__file__).parent.parent
IMAGES = ROOT / "docs" / "images"


def main() -> None:
    """Draw them all."""
    pictures: dict[str, Callable[[], Figure]] = {
        "features": lambda: example("features_in_a_pipeline")["curves"],
        "intrusions": intrusions,
        "support": support,
    }
    with in_scratch():
        for name, draw in pictures.items():
            draw().savefig(IMAGES / f"{name}.png", dpi=150)
        report()
        explorer()


@contextmanager
def in_scratch() -> Iterator[None]:
    """Work in an empty folder, which the pages write to."""
    before = Path.cwd()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        try:
            yield
        finally:
            os.chdir(before)


def example(name: str) -> dict[str, Any]:
    """Return the names that a script of the gallery leaves."""
    return runpy.run_path(str(ROOT / "examples" / f"{name}.py"))


def page(name: str) -> dict[str, Any]:
    """Return the names that the code of a page leaves."""
    text = (ROOT / "docs" / f"{name}.md").read_text()
    names: dict[str, Any] = {}
    exec("\n".join(re.findall(r"```python\n(.*?)```", text, re.DOTALL)), names)  # noqa: S102
    return names


def intrusions() -> Figure:
    """Draw the scores of ordinary flows and of three attacks, and the threshold."""
    import numpy as np

    names = page("intrusions")
    bad, kind = names["bad"], names["kind"]
    groups = {"ordinary": names["flows"](1000)} | {name: bad[kind == name] for name in set(kind)}
    figure = Figure(figsize=(8, 3.5), layout="constrained")
    axes = figure.subplots()
    for place, (name, rows) in enumerate(sorted(groups.items())):
        scores = -names["detector"].score_samples(rows)
        heights = place + np.linspace(-0.25, 0.25, len(rows))
        axes.scatter(scores, heights, s=8, color="#0072B2" if name == "ordinary" else "#D55E00")
    axes.axvline(-names["detector"].offset_, color="#222222", linestyle="--", label="threshold")
    axes.set_xscale("symlog", linthresh=10)
    axes.set_xlim(left=-5)
    axes.set_yticks(range(len(groups)), sorted(groups))
    axes.set(xlabel="anomaly score", title="Scores of ordinary flows and of three attacks")
    axes.legend()
    return figure


def support() -> Figure:
    """Draw two columns of real and sampled rows: the zeros and the bounds come back."""
    import numpy as np

    from latently import Autoencoder

    sales = page("tables-and-images")["sales"]
    model = Autoencoder(2, max_epochs=20, random_state=0).fit(sales)
    tables = {"training rows": sales, "sampled rows": model.sample(500, random_state=0)}
    figure = Figure(figsize=(8, 3.5), layout="constrained")
    for axes, column in zip(figure.subplots(1, 2), ["price", "returned"], strict=True):
        edges = np.linspace(0, sales[column].max(), 25)
        for label, table in tables.items():
            axes.hist(table[column], edges, density=True, histtype="step", linewidth=2, label=label)
        axes.set(xlabel=column, ylabel="density")
    axes.legend()
    return figure


def report() -> None:
    """Draw the first screen of the report of ``docs/report.md``."""
    browser = shutil.which("chromium")
    if browser is None:
        print("no Chromium: the picture of the report stays as it is")
        return
    page("report")
    target = IMAGES / "report.png"
    options = ["--headless=new", "--no-sandbox", "--hide-scrollbars", "--window-size=1100,900"]
    address = Path("report.html").resolve().as_uri()
    subprocess.run([browser, *options, f"--screenshot={target}", address], check=True)


def explorer() -> None:
    """Draw a row and the alarms of the map of ``docs/explorer.md``."""
    from tests.chromium import Chromium, find

    if find() is None:
        print("no Chromium: the pictures of the explorer stay as they are")
        return
    page("explorer")
    with tempfile.TemporaryDirectory() as profile:
        browser = Chromium(profile, 1100, 760)
        browser.open(Path("map.html").resolve())
        browser.click(395, 358)  # a point
        (IMAGES / "explorer.png").write_bytes(browser.picture())
        browser.run(
            "[...document.querySelectorAll('button')].find(b => b.textContent === 'Alarms').click()"
        )
        browser.settle()
        (IMAGES / "explorer-alarms.png").write_bytes(browser.picture())
        browser.close()


if __name__ == "__main__":
    main()
