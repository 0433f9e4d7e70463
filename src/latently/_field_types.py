"""Check of the values of a record against the annotated types of its fields."""

from __future__ import annotations

import math
import types
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from functools import cache
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints


def wrong_field(record: Any) -> str:
    """Return the name of the first field whose value is not of its type, or "".

    A boolean is not a number, an integer is accepted as a float, and a float must not be NaN.
    Fields that are added by a class of the user may hold any value.

    Parameters
    ----------
    record : dataclass
        An instance.

    Returns
    -------
    str
        Name of the field, empty if all values have their types.
    """
    ours = (one for one in type(record).__mro__ if one.__module__.split(".")[0] == "latently")
    hints = _hints(next(filter(is_dataclass, ours), object))
    values = ((name, getattr(record, name)) for name in hints)
    return next((name for name, value in values if not _is_of(value, hints[name])), "")


@cache
def _hints(cls: Any) -> dict[str, Any]:
    if not is_dataclass(cls):
        return {}
    hints = get_type_hints(cls)
    return {field.name: hints[field.name] for field in fields(cls) if field.init}


def _is_of(value: Any, hint: Any) -> bool:
    kind, inner = get_origin(hint), get_args(hint)
    if hint is Any or getattr(hint, "_is_protocol", False):
        return True
    if kind in (Union, types.UnionType):
        return any(_is_of(value, choice) for choice in inner)
    if kind is Literal:
        return any(type(value) is type(choice) and value == choice for choice in inner)
    if kind is tuple:
        return isinstance(value, tuple) and _are_of(value, inner)
    if kind in (dict, Mapping):
        return isinstance(value, dict) and all(_is_of(item, inner[1]) for item in value.values())
    if hint is float:
        return type(value) in (int, float) and not math.isnan(value)
    wanted: Any = kind or hint
    return type(value) is wanted if wanted in (bool, int, str) else isinstance(value, wanted)


def _are_of(values: tuple[Any, ...], hints: tuple[Any, ...]) -> bool:
    if len(hints) == 2 and hints[1] is Ellipsis:
        return all(_is_of(value, hints[0]) for value in values)
    pairs = zip(values, hints, strict=False)
    return len(values) == len(hints) and all(_is_of(value, hint) for value, hint in pairs)
