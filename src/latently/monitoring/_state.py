"""The state file of a watch: one JSON document, replaced atomically after each batch."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from latently.exceptions import DataError
from latently.io._atomic import atomic_path
from latently.io._messages import refuse

_VERSION = 1


@dataclass
class State:
    """Everything that a watch continues from after a restart.

    Attributes
    ----------
    source : str
        Identity of the source.
    model : str
        Fingerprint of the detector.
    position : dict or None
        Position of the source after the last scored row. None before the first.
    stream : dict or None
        Running calibration.
    rules : dict
        State of the alert rules.
    lengths : dict of str to int
        Recorded length of each output file.
    delivered : dict of str to int
        Offset up to which the lines of a spool have been delivered.
    n_rows, n_alerts, n_bad : int
        Rows scored, alerts raised and rows set aside so far.
    tested : int
        Row count of the last drift test.
    drifted : bool
        Result of the last drift test.
    """

    source: str
    model: str
    position: dict[str, Any] | None = None
    stream: dict[str, Any] | None = None
    rules: dict[str, Any] = field(default_factory=dict)
    lengths: dict[str, int] = field(default_factory=dict)
    delivered: dict[str, int] = field(default_factory=dict)
    n_rows: int = 0
    n_alerts: int = 0
    n_bad: int = 0
    tested: int = 0
    drifted: bool = False

    def save(self, path: Path) -> None:
        """Replace the state file atomically and flush it to disk."""
        document = json.dumps({"version": _VERSION, **asdict(self)}, allow_nan=False)
        with atomic_path(path, overwrite=True) as temporary:
            temporary.write_text(document + "\n", encoding="utf-8")


def read_state(path: Path) -> State | None:
    """Return the state of a file, None if there is no file.

    Parameters
    ----------
    path : Path
        The state file.

    Returns
    -------
    State or None
        As it was saved.

    Raises
    ------
    DataError
        If the file is damaged or of another version.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        version = document.pop("version")
        state = State(**document) if version == _VERSION else None
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        raise refuse(path, "this is no state file of a watch", "Name another --state") from None
    if state is None:
        raise refuse(path, f"its version is {version}, not {_VERSION}", "Name another --state")
    return state


def fingerprint(detector: Any) -> str:
    """Return a digest of the scores and the threshold that a running calibration starts from."""
    digest = hashlib.sha256(detector.calibration_.scores.tobytes())
    digest.update(repr(float(detector.threshold_.cut)).encode())
    return digest.hexdigest()[:32]


def check_source(state: State, source: str, path: Path) -> None:
    """Raise DataError if a state belongs to another source."""
    if state.source != source:
        raise DataError(
            f"{path} must hold the state of {source}, got that of {state.source}. Name another "
            "--state."
        )
