"""``report``: the one method that reaches up a floor."""

from __future__ import annotations

import importlib
from typing import Any

from latently.nn import OwnSettings


class ReportMixin(OwnSettings):
    """Adds ``report`` to an estimator.

    The page is made two floors above; it is looked up when asked for, so that nothing here is
    imported upwards (docs/decisions/0012).
    """

    def report(self, X: Any, *, color: Any = None) -> Any:
        """Report on this model and some rows: is it worth it, is it well, what stands out.

        Parameters
        ----------
        X : array-like, DataFrame, Table or image stack
            Rows with the columns of ``fit``, 20 at least; new ones say most.
        color : array-like of shape (n_samples,), str or None, default=None
            What colours the map: a value for each row, or the name of a column of ``X``.

        Returns
        -------
        Report
            ``save("report.html")`` writes one page that needs nothing else.

        Raises
        ------
        NotFittedError
            If ``fit`` was not called.
        DataError
            If the rows cannot be used, are too few, or there is no such column.
        """
        return importlib.import_module("latently.report").make_report(self, X, color=color)
