"""False alarms of drift: batches of the kind that a detector was fitted on, which did not drift."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence

import numpy as np

from _alarms import POPULATIONS, Population
from _records import Record, print_table, say, unique

#: Left out, because its new rows are of another distribution than those of the fit.
_DRIFTED = "oversampled counts"
#: Rows to fit to, and draws of each size.
_FITS = {100: 20, 500: 10, 1_000: 5, 5_000: 5}
_FITS_QUICK = {100: 3}
#: Rows of a batch.
_BATCHES = (100, 500, 2_000)
#: Chance of any false alarm over the columns and scores that ``detector.drift`` is asked for.
_LEVEL = 0.05


def run_drift(*, quick: bool) -> Iterator[Record]:
    """Fit to rows of known distributions, and look for drift in later rows of the same kind."""
    for name, population in POPULATIONS.items():
        if name == _DRIFTED:
            continue
        for n_rows, n_draws in (_FITS_QUICK if quick else _FITS).items():
            say(f"drift {name} {n_rows}")
            for draw in range(n_draws):
                for way, found in _alarms(population, n_rows, draw):
                    yield Record("drift", name, str(n_rows), way, draw, "drift found", found)


def _alarms(population: Population, n_rows: int, draw: int) -> Iterator[tuple[str, float]]:
    """Yield 1 where drift is found in a batch, else 0, by each way to look."""
    from latently import AnomalyDetector
    from latently.exceptions import DataError, DriftWarning

    rng = np.random.default_rng(draw)
    detector = AnomalyDetector(random_state=draw)
    try:
        detector.fit(population.fitted(rng, n_rows))
    except DataError:
        return
    for n_new in _BATCHES:
        new = population.new(rng, n_new)
        with warnings.catch_warnings(record=True) as issued:
            warnings.simplefilter("always")
            detector.predict(new)
        yield "predict", float(any(issubclass(w.category, DriftWarning) for w in issued))
        stream = detector.stream()
        stream.score_rows(new)
        yield "stream", float(stream.drift().drifted)
        yield "detector.drift", float(detector.drift(new, level=_LEVEL).drifted)
    detector.partial_fit(population.new(rng, 300))
    new = population.new(rng, _BATCHES[1])
    yield "after partial_fit", float(detector.drift(new, level=_LEVEL).drifted)


def report_drift(records: Sequence[Record]) -> None:
    """Print the share of batches in which drift was found."""
    ways = unique(record.method for record in records)
    body = []
    for name, n_rows in dict.fromkeys((record.setting, record.dataset) for record in records):
        here = [r for r in records if (r.setting, r.dataset) == (name, n_rows)]
        body.append([name, f"{int(n_rows):,}", *(_share(here, way) for way in ways)])
    body.append(["all", "", *(_share(records, way) for way in ways)])
    print("\n## Drift where there is none: batches in which it was found\n")
    print_table(["distribution", "n", *ways], body)
    print(f"\nBatches of {', '.join(f'{n:,}' for n in _BATCHES)} rows; after partial_fit of")
    print(f"{_BATCHES[1]:,} rows. detector.drift is asked for a level of {_LEVEL:.0%}.")


def _share(records: Sequence[Record], way: str) -> str:
    values = [record.value for record in records if record.method == way]
    return f"{sum(values):.0f} of {len(values):,}"
