"""The ``effort`` parameter, a single setting for the amount of computation."""

from __future__ import annotations

from typing import Literal, get_args

from latently._sklearn import StrOptions

Effort = Literal["fast", "balanced", "thorough"]
#: Factor by which each effort multiplies "auto" numbers of steps, rows and trees.
EFFORTS: dict[Effort, float] = {"fast": 0.25, "balanced": 1.0, "thorough": 4.0}
EFFORT_CONSTRAINT = [StrOptions(set(get_args(Effort)))]


def scaled(amount: int, effort: Effort) -> int:
    """Return an "auto" amount multiplied by the factor of an effort, at least 1."""
    return max(1, round(EFFORTS[effort] * amount))
