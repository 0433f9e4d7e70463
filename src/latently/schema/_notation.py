"""Notation of columns in text files: decimal sign, format of dates, units and gap words."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Literal

import pyarrow as pa

from latently._field_types import wrong_field

_KEY = b"latently.notation"
_ORDERS = {"d": "day", "m": "month", "b": "month", "B": "month", "Y": "year", "y": "year"}
DateOrder = Literal["day-first", "month-first", "year-first"]


@dataclass(frozen=True)
class Notation:
    """Notation of the cells of one column in a text file.

    Parameters
    ----------
    decimal : {"", ".", ","}, default=""
        The decimal sign, empty if the cells have none, as in a column of integers.
    thousands : str, default=""
        The thousands separator, empty for none.
    dates : str, default=""
        The ``strftime`` format of dates and times, empty for ISO 8601.
    prefix, suffix : str, default=""
        A unit such as a currency or percent sign, before or after each number.
    missing : tuple of str, default=()
        Gap words in addition to the built-in ones.
    """

    decimal: Literal["", ".", ","] = ""
    thousands: str = ""
    dates: str = ""
    prefix: str = ""
    suffix: str = ""
    missing: tuple[str, ...] = ()

    @property
    def date_order(self) -> DateOrder | None:
        """Order of day, month and year in dates, or None for ISO 8601."""
        found = [_ORDERS[letter] for letter in self.dates if letter in _ORDERS]
        return f"{found[0]}-first" if found else None  # type: ignore[return-value]

    def to_metadata(self) -> dict[bytes, bytes]:
        """Return this notation as the metadata of an Arrow field."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        found = {name: value for name, value in values.items() if value}
        return {_KEY: json.dumps(found).encode()}

    @classmethod
    def from_metadata(cls, metadata: Mapping[bytes, bytes] | None) -> Notation | None:
        """Return the notation in the metadata of an Arrow field, or None."""
        if not metadata or _KEY not in metadata:
            return None
        try:
            found = json.loads(metadata[_KEY])
            made = cls(**found | {"missing": tuple(found.get("missing", ()))})
        except (ValueError, TypeError, AttributeError):
            return None  # written by another program or version
        return None if wrong_field(made) else made


def notations_of(schema: pa.Schema) -> dict[str, Notation]:
    """Return the notation of each column of an Arrow schema that has one."""
    found = {field.name: Notation.from_metadata(field.metadata) for field in schema}
    return {name: notation for name, notation in found.items() if notation is not None}


def with_notation(field: pa.Field, notation: Notation | None) -> pa.Field:
    """Return an Arrow field with a notation in its metadata. A default notation is left out."""
    if notation is None or notation == Notation():
        return field
    return field.with_metadata({**(field.metadata or {}), **notation.to_metadata()})
