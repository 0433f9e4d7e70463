"""Standardisation of numeric columns."""

from __future__ import annotations

from typing import Any

import numpy as np

#: Largest rounding error of a centre, in scales, that is neglected: an eighth of float32 near one.
_NEGLIGIBLE = 2.0**-27
#: Centres below this, and scales between its inverse and this, are used in single precision.
_PLAIN = 1e15


class Scaling:
    """Subtract a centre from each column and divide by a scale, in blocks of rows.

    Numbers in single precision are scaled in single precision, which is faster. The centre is
    subtracted in two parts if its rounding error matters, so that numbers far from zero keep
    their digits.

    Parameters
    ----------
    center, scale : ndarray of shape (n_columns,)
        Subtracted from each column, and divisor of it.
    dtype : dtype
        Type of the scaled numbers.
    n_rows : int
        Largest number of rows of a block.
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
        # Repeated, as an operation on one long array is faster than on many short rows.
        self.centers = [_repeated(part, n_rows) for part in parts]
        self.scale = _repeated(scale.astype(self.dtype), n_rows)

    def apply(self, rows: np.ndarray, out: np.ndarray) -> None:
        """Write the scaled numbers of some rows.

        Parameters
        ----------
        rows : ndarray of shape (n, n_columns)
            Numbers. NaN stays NaN, and an overflow becomes infinite.
        out : ndarray of shape (n, n_columns)
            Output array.
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
