"""Options and messages of a search on the command line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

#: Seconds in each unit of a time limit.


def read_space(path: str | None) -> dict[str, Any] | None:
    """Read a space from JSON: a list is choices, an object of low, high and log a range."""
    from latently.exceptions import ParameterError

    if path is None:
        return None
    try:
        read = json.loads(Path(path).read_text("utf-8"))
        return {name: _values(one) for name, one in read.items()}
    except (OSError, ValueError, AttributeError, KeyError, TypeError) as error:
        raise ParameterError(
            f"--space {path} is no JSON object whose values are lists, or objects of low, high and "
            f"log ({type(error).__name__}: {error}). Write "
            '{"batch_size": [32, 64], "learning_rate": {"low": 1e-3, "high": 1e-2, "log": true}}.'
        ) from None


def _values(one: Any) -> Any:
    if isinstance(one, list):
        return [tuple(value) if isinstance(value, list) else value for value in one]
    return (one["low"], one["high"], "log") if one.get("log") else (one["low"], one["high"])


def setting_words(params: dict[str, Any]) -> dict[str, Any]:
    """Return settings as values that JSON takes and people read."""
    return {name: _plain(value) for name, value in params.items()}


def _plain(value: Any) -> Any:
    if isinstance(value, float):
        return float(f"{value:.4g}")
    if isinstance(value, int | str | tuple | None):
        return value
    return " ".join(repr(value).split())
