"""Verdicts of analysts about alerts, kept in a file beside the model."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

import numpy as np
from filelock import FileLock

from latently.exceptions import DataError
from latently.io._atomic import sync_folder
from latently.io._messages import refuse


class Precision(NamedTuple):
    """Precision of the alerts with a verdict.

    Parameters
    ----------
    n_yes : int
        Alerts confirmed as anomalies.
    n_no : int
        False alarms.
    """

    n_yes: int
    n_no: int

    @property
    def value(self) -> float:
        """Share of confirmed anomalies, NaN without a verdict."""
        n_rows = self.n_yes + self.n_no
        return self.n_yes / n_rows if n_rows else float("nan")

    def __str__(self) -> str:
        n_rows = self.n_yes + self.n_no
        if not n_rows:
            return "There is no verdict yet."
        return (
            f"Precision so far: {self.value:.2f} ({self.n_yes:,} of {n_rows:,} rows with a "
            "verdict are anomalies)."
        )


class Verdicts:
    """Verdicts of analysts, one JSON object a line. The latest verdict about an identifier holds.

    Parameters
    ----------
    path : str or Path
        File of the verdicts. It is created by the first one.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> verdicts = Verdicts(pathlib.Path(tempfile.mkdtemp()) / "fraud.labels.ndjson")
    >>> verdicts.add(yes=["t1", "t2"], no=["t3"])
    >>> verdicts.add(no=["t2"])
    >>> print(verdicts.precision())
    Precision so far: 0.33 (1 of 3 rows with a verdict are anomalies).
    >>> verdicts.labels(["t1", "t2", "t9"]).tolist()
    [True, False, None]
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)

    @classmethod
    def beside(cls, model: str | Path) -> Verdicts:
        """Return the verdicts beside a model file.

        Parameters
        ----------
        model : str or Path
            The model file.

        Returns
        -------
        Verdicts
            In the file ``MODEL.labels.ndjson``.
        """
        return cls(f"{model}.labels.ndjson")

    def add(self, yes: Iterable[str] = (), no: Iterable[str] = ()) -> None:
        """Append verdicts and flush them to disk.

        Parameters
        ----------
        yes : iterable of str, default=()
            Identifiers of confirmed anomalies.
        no : iterable of str, default=()
            Identifiers of false alarms.

        Raises
        ------
        DataError
            If an identifier is in both, or the file cannot be written.
        """
        found = {str(name): True for name in yes}
        denied = dict.fromkeys(map(str, no), False)
        both = [name for name in denied if name in found]
        if both:
            raise DataError(
                f"An identifier must have one verdict, got yes and no for {both[0]!r:.40}. Give "
                "one of them."
            )
        if found or denied:
            time = datetime.now().astimezone().isoformat(timespec="seconds")
            entries = {**found, **denied}.items()
            self._append([{"id": name, "label": label, "time": time} for name, label in entries])

    def read(self) -> dict[str, bool]:
        """Return the latest verdict of each identifier.

        Returns
        -------
        dict of str to bool
            True for an anomaly.

        Raises
        ------
        DataError
            If a line is no verdict. A last line without a line end was interrupted, and is left
            out.
        """
        try:
            text = self.path.read_bytes()
        except FileNotFoundError:
            return {}
        except OSError as error:
            reason = (error.strerror or "unknown reason").lower()
            raise refuse(self.path, f"it cannot be read ({reason})", "Check it") from error
        lines = text.split(b"\n")[:-1]
        pairs = [self._pair(line, number) for number, line in enumerate(lines, 1) if line.strip()]
        return dict(pairs)

    def precision(self) -> Precision:
        """Return the precision of the rows with a verdict.

        Returns
        -------
        Precision
            Prints as a sentence.
        """
        labels = list(self.read().values())
        return Precision(sum(labels), len(labels) - sum(labels))

    def labels(self, ids: Sequence[str]) -> np.ndarray:
        """Return the verdicts about rows as the ``y`` of ``AnomalyDetector.fit``.

        Parameters
        ----------
        ids : sequence of str
            Identifier of each row.

        Returns
        -------
        ndarray of object, shape (n_rows,)
            True for an anomaly, False for a false alarm, None without a verdict.
        """
        known = self.read()
        return np.array([known.get(str(name)) for name in ids], dtype=object)

    def _append(self, entries: list[dict[str, object]]) -> None:
        text = "".join(json.dumps(entry, ensure_ascii=False) + "\n" for entry in entries).encode()
        try:
            with FileLock(f"{self.path}.lock"), self.path.open("a+b") as file:
                is_new = file.seek(0, os.SEEK_END) == 0
                self._drop_partial_line(file.fileno())
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            if is_new:
                sync_folder(self.path.parent)
        except OSError as error:
            reason = (error.strerror or "unknown reason").lower()
            wrong = f"it cannot be written ({reason})"
            raise refuse(self.path, wrong, "Check path, permission and disk") from error

    def _drop_partial_line(self, number: int) -> None:
        """Cut a last line off that an interrupted write left."""
        text = self.path.read_bytes()
        if text and not text.endswith(b"\n"):
            os.ftruncate(number, text.rfind(b"\n") + 1)

    def _pair(self, line: bytes, number: int) -> tuple[str, bool]:
        try:
            entry = json.loads(line)
            if isinstance(entry["id"], str) and isinstance(entry["label"], bool):
                return entry["id"], entry["label"]
        except (ValueError, TypeError, KeyError):
            pass
        remedy = 'Write {"id": "...", "label": true} or false'
        raise refuse(self.path, f"line {number} is no verdict", remedy)
