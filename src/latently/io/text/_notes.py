"""Remarks on columns, collected while a table is read and issued as joined warnings."""

from __future__ import annotations

from latently.io._messages import clip, listing, warn

__all__ = ["Notes"]


class Notes:
    """Remarks on columns. ``warn`` issues one warning per remark, which lists its columns."""

    def __init__(self) -> None:
        self._columns: dict[str, dict[str, str | None]] = {}

    def add(self, remark: str, column: str, example: object = None) -> None:
        """Add a remark on a column: the end of a sentence that begins with "In column ..."."""
        shown = None if example is None else clip(example)
        self._columns.setdefault(remark, {}).setdefault(column, shown)

    def join(self, other: Notes) -> None:
        """Add the remarks on another part of the table."""
        for remark, columns in other._columns.items():
            for column, example in columns.items():
                self._columns.setdefault(remark, {}).setdefault(column, example)

    def warn(self) -> None:
        """Issue the warnings and clear the remarks."""
        for remark, columns in self._columns.items():
            noun = "column" if len(columns) == 1 else "columns"
            shown = next((f" (for example {e})" for e in columns.values() if e is not None), "")
            warn(f"In {noun} {listing(columns)}, {remark}{shown}.")
        self._columns.clear()
