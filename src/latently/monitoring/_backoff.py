"""Growing pauses between tries."""

from __future__ import annotations

import time

_FIRST, _LONGEST = 1.0, 60.0


class Backoff:
    """Pauses that double from 1 s up to 60 s.

    Parameters
    ----------
    first : float, default=1.0
        First pause, in seconds.
    """

    def __init__(self, first: float = _FIRST) -> None:
        self.first, self.n_failures = first, 0
        self._next = 0.0

    def is_due(self) -> bool:
        """Return True if the pause is over."""
        return time.monotonic() >= self._next

    def remaining(self) -> float:
        """Return the seconds until the pause is over."""
        return max(0.0, self._next - time.monotonic())

    def fail(self) -> float:
        """Begin the next pause, and return its seconds."""
        seconds = min(_LONGEST, self.first * 2.0 ** min(self.n_failures, 30))
        self.n_failures += 1
        self._next = time.monotonic() + seconds
        return seconds

    def reset(self) -> None:
        """Forget the failures."""
        self.n_failures, self._next = 0, 0.0
