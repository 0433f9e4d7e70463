"""Similarity of the dependence between pairs of columns in two tables."""

from __future__ import annotations

import numpy as np

from latently._layout import Column

#: Bins of a number beside a category.
_N_BINS = 10


def trend(real: np.ndarray, synthetic: np.ndarray, columns: tuple[Column, ...]) -> float:
    """Return the mean similarity of all pairs of columns.

    For two numbers it is one minus half of the difference of their correlations. For others it is
    one minus the total variation distance of the joint frequencies, with numbers in ten bins
    between the ends of the real ones.

    Parameters
    ----------
    real, synthetic : ndarray of shape (n_samples, width)
        Encoded rows, NaN for missing cells.
    columns : tuple of Column
        The columns of both.

    Returns
    -------
    float
        From 0 to 1. 1 if there is one column.
    """
    pairs = [(a, b) for place, a in enumerate(columns) for b in columns[place + 1 :]]
    if not pairs:
        return 1.0
    coded = {column.place: _coded(real, synthetic, column) for column in columns}
    return float(
        np.mean(
            [
                _of_numbers(real, synthetic, a, b)
                if a.is_number and b.is_number
                else _of_categories(coded[a.place], coded[b.place])
                for a, b in pairs
            ]
        )
    )


def _of_numbers(real: np.ndarray, synthetic: np.ndarray, a: Column, b: Column) -> float:
    places = [a.elements.start, b.elements.start]
    first, second = (_correlation(rows[:, places]) for rows in (real, synthetic))
    return 1 - abs(first - second) / 2


def _correlation(rows: np.ndarray) -> float:
    """Return the correlation of two columns, 0 if one is constant."""
    rows = rows[~np.isnan(rows).any(1)]
    if len(rows) < 2:
        return 0.0
    centred = rows - rows.mean(0)
    scale = np.sqrt(np.square(centred).sum(0))
    if (scale <= 1e-12 * np.sqrt(len(rows))).any():
        return 0.0
    return float((centred[:, 0] / scale[0]) @ (centred[:, 1] / scale[1]))


Codes = tuple[np.ndarray, np.ndarray, int]


def _coded(real: np.ndarray, synthetic: np.ndarray, column: Column) -> Codes:
    """Return the place of each cell among categories or bins, -1 if missing, and their number."""
    first, second = (rows[:, column.elements] for rows in (real, synthetic))
    if not column.is_number:
        n_values = column.width + 1
        codes = [_places(cells, column) for cells in (first, second)]
        return codes[0], codes[1], n_values
    known = first[~np.isnan(first[:, 0]), 0]
    low, high = (known.min(), known.max()) if len(known) else (0.0, 0.0)
    edges = np.linspace(low, high, _N_BINS + 1)[1:-1]
    binned = [
        np.where(np.isnan(cells[:, 0]), -1, np.searchsorted(edges, cells[:, 0], side="right"))
        for cells in (first, second)
    ]
    return binned[0], binned[1], _N_BINS


def _places(cells: np.ndarray, column: Column) -> np.ndarray:
    chosen = cells.argmax(1) if column.likelihood == "categorical" else (cells > 0.5).sum(1)
    places: np.ndarray = np.where(np.isnan(cells[:, 0]), -1, chosen)
    return places


def _of_categories(a: Codes, b: Codes) -> float:
    shares = []
    for first, second in zip(a[:2], b[:2], strict=True):
        seen = (first >= 0) & (second >= 0)
        joint = np.bincount(first[seen] * b[2] + second[seen], minlength=a[2] * b[2])
        shares.append(joint / max(int(seen.sum()), 1))
    return 1 - float(np.abs(shares[0] - shares[1]).sum()) / 2
