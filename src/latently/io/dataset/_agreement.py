"""Common column types of several text files, or of several pieces of one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pyarrow as pa

from latently.exceptions import DataError
from latently.io.text._csv import ReadTable
from latently.io.text._notes import Notes
from latently.io.text._options import TextOptions
from latently.schema import ColumnType, Notation, TableSpec, notations_of

__all__ = ["Agreement", "wider"]

#: Types from narrow to wide: each can hold the values of those before it in its row.
_LADDERS = (
    (pa.int64(), pa.float64()),
    (pa.date32(), pa.timestamp("us"), pa.timestamp("ns")),
    (pa.timestamp("us", "UTC"), pa.timestamp("ns", "UTC")),
)


class Agreement:
    """Column types and notations that fit all tables added so far.

    Parameters
    ----------
    options : TextOptions
        Options by which the tables were read.

    Attributes
    ----------
    clashes : set of str
        Columns with types that only text can unify, although none of them is text.
    notes : Notes
        Remarks on the columns of all tables.
    """

    def __init__(self, options: TextOptions) -> None:
        self._options = options
        self._kinds: dict[str, pa.DataType] = {}
        self._notations: dict[str, Notation] = {}
        self._shown: dict[str, Notation] = {}
        self._problems: dict[str, DataError] = {}
        self.clashes: set[str] = set()
        self.notes = Notes()

    def add(self, found: ReadTable) -> None:
        """Add a table."""
        self.notes.join(found.notes)
        for name, notation in notations_of(found.table.schema).items():
            self._notations.setdefault(name, notation)
        for name, notation in found.shown.items():
            self._shown.setdefault(name, notation)
        for name, column in zip(found.table.column_names, found.table.columns, strict=True):
            before = self._kinds.get(name, pa.null())
            if name in found.problems:
                self._problems.setdefault(name, found.problems[name])
                self._kinds.setdefault(name, pa.null())
            elif column.null_count < len(column):
                self._kinds[name] = wider(before, column.type)
                if pa.string() not in (before, column.type) and self._kinds[name] == pa.string():
                    self.clashes.add(name)
            else:
                self._kinds[name] = before

    @property
    def schema(self) -> pa.Schema:
        """Names and types of all columns. A column without a value is float64."""
        pairs = self._kinds.items()
        return pa.schema([(n, pa.float64() if pa.types.is_null(k) else k) for n, k in pairs])

    def cast(self, table: pa.Table, names: Sequence[str] | None = None) -> pa.Table:
        """Return columns of a table in the common types. A column that it lacks is missing.

        Parameters
        ----------
        table : pyarrow.Table
            A table that was added, or was read again by ``options()``.
        names : sequence of str or None, default=None
            The columns wanted. None returns the columns of all tables.

        Returns
        -------
        pyarrow.Table
            The same rows.
        """
        schema = self.schema
        wanted = schema.names if names is None else names
        fields = [self._field(table, schema.field(name)) for name in wanted]
        columns = [_cast(table, field) for field in fields]
        return pa.table(columns, schema=pa.schema(fields))

    def _field(self, table: pa.Table, field: pa.Field) -> pa.Field:
        own = table.schema.field(field.name) if field.name in table.column_names else field
        return own.with_type(field.type)

    def holds(self, found: ReadTable) -> bool:
        """Return True if a table already has the common types, and no error."""
        pairs = zip(found.table.schema, found.table.columns, strict=True)
        same = all(
            field.type == self._kinds[field.name] or column.null_count == len(column)
            for field, column in pairs
        )
        return same and not found.problems

    def options(self) -> TextOptions:
        """Return options by which every table is read in the common types and notations.

        Raises
        ------
        DataError
            If no table determines the notation of a column.
        """
        for name, problem in self._problems.items():
            if name not in self._shown and self._kinds[name] != pa.string():
                raise problem
        known, aside = self._options.kinds, {*self._options.text}
        kinds = {
            field.name: known.get(field.name) or self._kind(field)
            for field in self.schema
            if field.name not in aside
        }
        spec = TableSpec("pyarrow", "float64", tuple(kinds), tuple(kinds.values()))
        return replace(self._options, like=spec)

    def _kind(self, field: pa.Field) -> ColumnType:
        notation = self._notations.get(field.name, Notation())
        shown = self._shown.get(field.name, notation)
        notation = replace(shown, missing=notation.missing)
        name = str(field.type).partition("[")[0]
        unit, zone = (getattr(field.type, word, None) for word in ("unit", "tz"))
        return ColumnType(name, None, unit, zone, notation=notation)


def _cast(table: pa.Table, field: pa.Field) -> pa.ChunkedArray:
    column = table[field.name] if field.name in table.column_names else None
    if column is None or column.null_count == len(column):
        return pa.chunked_array([pa.nulls(table.num_rows, field.type)])
    return column.cast(field.type)


def wider(one: pa.DataType, other: pa.DataType) -> pa.DataType:
    """Return the narrowest type that holds the values of two types, or text if there is none."""
    if one == other or pa.types.is_null(other):
        return one
    if pa.types.is_null(one):
        return other
    for ladder in _LADDERS:
        if one in ladder and other in ladder:
            return ladder[max(ladder.index(one), ladder.index(other))]
    return pa.string()
