"""Scores of single rows without a frame, from arrays that are prepared once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from latently.estimators import fitted_of
from latently.nn.memory import OneRowMemory
from latently.preprocessing import RowReader, TablePreprocessor, UncommonCellError
from latently.tasks.scores._scores import SurpriseScore

if TYPE_CHECKING:
    from latently.tasks.anomaly._detector import AnomalyDetector


class OneRowScorer:
    """Compute the anomaly score of one row of plain values.

    Parameters
    ----------
    reader : RowReader
        Reader of the columns.
    memory : OneRowMemory
        Stored rows.
    names : tuple of str or None
        Names of the columns, None for arrays.
    """

    def __init__(
        self, reader: RowReader, memory: OneRowMemory, names: tuple[str, ...] | None
    ) -> None:
        self._reader = reader
        self._memory = memory
        self._names = names

    @classmethod
    def of(cls, detector: AnomalyDetector) -> Self | None:
        """Return the scorer of a detector, or None if its rows must be scored as a table.

        Parameters
        ----------
        detector : AnomalyDetector
            Fitted detector.
        """
        preprocessor = detector.autoencoder_.preprocessor_
        if not isinstance(detector.score_, SurpriseScore):
            return None
        if not isinstance(preprocessor, TablePreprocessor):
            return None
        reader, memory = RowReader.of(preprocessor), fitted_of(detector.autoencoder_).one_row()
        if reader is None or memory is None:
            return None
        return cls(reader, memory, preprocessor.spec.names)

    def score(self, row: Any) -> float | None:
        """Return the anomaly score, or None for a row that needs the checks of a table.

        Parameters
        ----------
        row : mapping, sequence or array
            Values by name, or in the order of the columns of ``fit``.
        """
        cells = self._cells(row)
        if cells is None or len(cells) != self._reader.n_columns:
            return None
        try:
            return self._memory.surprise(*self._reader.read(cells))
        except UncommonCellError:
            return None

    def _cells(self, row: Any) -> list[Any] | None:
        """Return the values of a row in the order of ``fit``, or None for other objects."""
        if isinstance(row, Mapping):
            if self._names is None or not all(name in row for name in self._names):
                return None
            return [row[name] for name in self._names]
        if isinstance(row, np.ndarray):
            return row.tolist() if row.ndim == 1 and row.dtype.kind in "fiu" else None
        return list(row) if isinstance(row, list | tuple) else None
