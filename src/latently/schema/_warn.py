"""One warning for all columns of one kind."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

from latently.exceptions import DataWarning


def warn_columns(names: Sequence[str | int], what: str, remedy: str) -> None:
    """Warn of some columns at once, at most five of them by name.

    Parameters
    ----------
    names : sequence of str or int
        The columns, by name or position; none gives no warning.
    what : str
        What they do, in the plural: "hold no value".
    remedy : str
        What to do, a sentence.
    """
    if not names:
        return
    shown = ", ".join(repr(name) for name in names[:5])
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    warnings.warn(f"These columns {what}: {shown}{more}. {remedy}", DataWarning, stacklevel=3)
