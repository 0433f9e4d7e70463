"""How hard to try, for those who want no knobs."""

from __future__ import annotations

from typing import Literal, get_args

from latently._sklearn import StrOptions

Effort = Literal["fast", "balanced", "thorough"]
#: What each effort multiplies the "auto" length or size of a model by.
EFFORTS: dict[Effort, float] = {"fast": 0.25, "balanced": 1.0, "thorough": 4.0}
EFFORT_CONSTRAINT = [StrOptions(set(get_args(Effort)))]


def scaled(amount: int, effort: Effort) -> int:
    """Return what an effort makes of an amount that was left to us."""
    return max(1, round(EFFORTS[effort] * amount))
