"""How large is a page of the explorer, and how fast is it in a browser?

The table of docs/explorer.md comes from this command, run in the repository's root. It needs
Chromium, which draws by the processor (software WebGL):

    OMP_NUM_THREADS=1 python -m benchmarks.explorer

Each line: rows, megabytes of the file, seconds to make it, milliseconds from opening the file to
the first picture, the longest gap between two frames while the map is panned by 60 steps,
milliseconds of a lasso around a quarter of the rows, and of one decoded code (median of 200).
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from tests.chromium import Chromium

from latently import Autoencoder, explore
from latently.datasets import make_transactions

#: Waits until the explorer is ready and the frame after it is drawn.
_FIRST = """new Promise((done) => { const look = () =>
  document.getElementById("app").dataset.ready && explorer.map.root.dataset.drawn
    ? requestAnimationFrame(() => done(performance.now())) : requestAnimationFrame(look);
  look(); })"""
_PAN = """new Promise((done) => { let [n, last, gap] = [0, performance.now(), 0];
  const step = (now) => { gap = Math.max(gap, now - last); last = now;
    const c = explorer.map.camera;
    explorer.map.camera = { ...c, x: c.x + 3 / c.sx }; explorer.map.redraw();
    n++ < 60 ? requestAnimationFrame(step) : done(gap); };
  requestAnimationFrame((now) => { last = now; step(now); }); })"""
_LASSO = """(() => { const app = explorer.app; const start = performance.now();
  const median = (v) => Float64Array.from(v).sort()[v.length >> 1];
  const [x, y] = [median(app.xs), median(app.ys)];
  explorer.map.lassoed([x, y, x + 1e6, y, x + 1e6, y + 1e6, x, y + 1e6].map((v, i) => {
    const c = explorer.map.camera;
    return i % 2 ? c.height / 2 - (v - c.y) * c.sy : (v - c.x) * c.sx + c.width / 2; }));
  return performance.now() - start; })()"""
_DECODE = """(() => { const times = [];
  for (let i = 0; i < 200; i++) { const start = performance.now();
    const code = Float64Array.of(Math.sin(i), Math.cos(i));
    explorer.app.cells(explorer.app.decode(code)); times.push(performance.now() - start); }
  return times.sort((a, b) => a - b)[100]; })()"""


def points(n_rows: int) -> np.ndarray:
    """Return rows of four columns in ten clusters."""
    rng = np.random.default_rng(0)
    angles = 2 * np.pi * rng.integers(0, 10, n_rows) / 10
    centers = np.column_stack([np.cos(angles), np.sin(angles), angles, -angles])
    return centers + 0.1 * rng.normal(size=(n_rows, 4))


def cases() -> dict[str, Any]:
    """Return the tables: transactions of 13 columns, and points of four."""
    return {
        "transactions": make_transactions(20_000, random_state=0).data,
        "points": points(100_000),
        "many points": points(1_000_000),
    }


def measure(browser: Chromium, name: str, rows: Any, folder: Path) -> None:
    """Print the line of a table."""
    first = rows[:5_000] if isinstance(rows, np.ndarray) else rows.slice(0, 5_000)
    model = Autoencoder(2, effort="fast", max_epochs=5, random_state=0).fit(first)
    start = time.perf_counter()
    explore(model, rows, max_rows=10**7).save(folder / "map.html")
    made = time.perf_counter() - start
    size = (folder / "map.html").stat().st_size / 1e6
    browser.visit(folder / "map.html")
    timed = [browser.run(script) for script in (_FIRST, _PAN, _DECODE, _LASSO)]
    drawn, gap, decode, lasso = timed
    print(
        f"| {name} | {len(rows):,} | {size:.1f} | {made:.1f} | {drawn:,.0f} | {gap:.0f} | "
        f"{lasso:.0f} | {decode:.2f} |",
        flush=True,
    )


def main() -> None:
    """Print the table."""
    print(
        "| table | rows | MB | s to make | ms to picture | ms of gap | ms of lasso | ms to decode |"
    )
    print("|---|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        browser = Chromium(Path(folder) / "profile")
        for name, rows in cases().items():
            measure(browser, name, rows, Path(folder))
        browser.close()


if __name__ == "__main__":
    main()
