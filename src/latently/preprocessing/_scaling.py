"""Numbers <-> numbers in standard deviations of their column."""

from __future__ import annotations

from typing import Any

import numpy as np

#: Scales that are lost to no account: an eighth of what a number near one is rounded by.
_NEGLIGIBLE = 2.0**-27
#: Centres and scales from one over this to this are computed with in single precision.
_PLAIN = 1e15


class Scaling:
    """Take a centre off the numbers of each column and divide by a scale, block by block.

    Single precision is scaled in single precision, twice as fast: the centre is taken off in two
    parts, so that nothing is lost of numbers far from zero.

    Parameters
    ----------
    center, scale : ndarray of shape (n_columns,)
        Taken off and divided by.
    dtype : dtype
        Of the answers.
    n_rows : int
        Most rows of a block.
    """

    def __init__(
        self, center: np.ndarray, scale: np.ndarray, dtype: np.dtype[Any], n_rows: int
    ) -> None:
        with np.errstate(divide="ignore"):
            limits = np.concatenate([np.abs(center), scale, 1 / scale])
        self.dtype = np.dtype(dtype if (limits < _PLAIN).all() else np.float64)
        first = center.astype(self.dtype)
        lost = (center - first).astype(self.dtype)
        parts = [first] if (np.abs(lost) < _NEGLIGIBLE * scale).all() else [first, lost]
        # Repeated, for an operation on a run of numbers is faster than one on many short rows.
        self.centers = [_repeated(part, n_rows) for part in parts]
        self.scale = _repeated(scale.astype(self.dtype), n_rows)

    def apply(self, rows: np.ndarray, out: np.ndarray) -> None:
        """Write the scaled numbers of some rows.

        Parameters
        ----------
        rows : ndarray of shape (n, n_columns)
            Numbers; NaN stays NaN, and what is too large becomes infinite.
        out : ndarray of shape (n, n_columns)
            Where to.
        """
        n_rows = len(rows)
        scaled = out if out.dtype == self.dtype else np.empty(out.shape, self.dtype)
        with np.errstate(over="ignore"):
            for center in self.centers:
                np.subtract(rows, center[:n_rows], out=scaled)
                rows = scaled
            np.divide(rows, self.scale[:n_rows], out=scaled)
            if scaled is not out:
                out[:] = scaled


def _repeated(row: np.ndarray, n_rows: int) -> np.ndarray:
    return np.tile(row, (n_rows, 1))
