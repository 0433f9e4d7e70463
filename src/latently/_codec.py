"""Objects <-> strict JSON and a dict of arrays, over a closed list of classes; nothing is run."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any, Protocol

import numpy as np

from latently._field_types import wrong_field
from latently.exceptions import ModelFileError

Arrays = dict[str, np.ndarray]

#: What may be raised where the parts of a sound file do not fit together.
MISFITS = (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError)

#: Parameters that say where or how fast to compute, and how much to print: of this process, not of
#: the model. They are neither written nor read.
NOT_STATE = frozenset({"engine", "verbose"})


class Stateful(Protocol):
    """An estimator that can be written down: parameters, and what fit learnt."""

    def get_params(self, deep: bool = ...) -> dict[str, Any]: ...
    def _fitted_state(self) -> dict[str, Any]: ...
    def _restore(self, state: dict[str, Any]) -> None: ...


def to_plain(value: Any, arrays: Arrays, path: str = "") -> Any:
    """Return ``value`` as JSON values; its arrays go into ``arrays`` under their path.

    What cannot be written down (a user's module, a function, a random state) becomes
    ``{"~foreign": class name}``, which only the caller of ``load`` can fill in.
    """
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else {"~float": repr(value)}
    if isinstance(value, np.ndarray):
        return _plain_array(value, arrays, path)
    if isinstance(value, list | tuple):
        items = [to_plain(item, arrays, f"{path}.{i}") for i, item in enumerate(value)]
        return items if isinstance(value, list) else {"~tuple": items}
    if isinstance(value, dict):
        return {"~dict": _plain_dict(value, arrays, path)}
    return _plain_object(value, arrays, path)


def _plain_array(value: np.ndarray, arrays: Arrays, path: str) -> Any:
    if value.dtype.kind in "OUS":
        return {"~names": [str(item) for item in value]}
    arrays[path] = value
    return {"~array": path}


def _plain_dict(value: Mapping[str, Any], arrays: Arrays, path: str) -> dict[str, Any]:
    return {
        str(k): to_plain(v, arrays, f"{path}.{k}" if path else str(k)) for k, v in value.items()
    }


def _plain_object(value: Any, arrays: Arrays, path: str) -> dict[str, Any]:
    name = type(value).__name__
    if hasattr(value, "get_params"):
        given = value.get_params(deep=False).items()
        params = {name: item for name, item in given if name not in NOT_STATE}
        plain = {"~class": name, "params": _plain_dict(params, arrays, path)}
        state = value._fitted_state() if hasattr(value, "_fitted_state") else {}
        return {**plain, "fitted": _plain_dict(state, arrays, path)} if state else plain
    if is_dataclass(value):
        contents = {field.name: getattr(value, field.name) for field in fields(value) if field.init}
        return {"~class": name, "params": _plain_dict(contents, arrays, path)}
    return {"~foreign": name}


def from_plain(value: Any, arrays: Mapping[str, np.ndarray], classes: Mapping[str, type]) -> Any:
    """Return what ``to_plain`` wrote down.

    Raises
    ------
    ModelFileError
        If a class is not in ``classes`` or refuses its parameters, or an array is missing.
    """
    if isinstance(value, list):
        return [from_plain(item, arrays, classes) for item in value]
    if not isinstance(value, dict):
        return value
    if "~class" in value:
        return _object(value, arrays, classes)
    tag, content = next(iter(value.items()), ("", None))
    if len(value) != 1 or tag not in _READERS:
        raise ModelFileError("The model's configuration holds an entry of unknown form.", "config")
    return _READERS[tag](content, arrays, classes)


def check_state(state: Mapping[str, Any], types: Mapping[str, type]) -> None:
    """Hold what a model file says was fitted against the types that it must have.

    Raises
    ------
    ModelFileError
        If an entry is missing or of another type.
    """
    for name, kind in types.items():
        value = state.get(name)
        if isinstance(value, float) and math.isnan(value):
            raise ModelFileError(f"The model's {name} is not a number.", "config")
        if not isinstance(value, kind) or (kind is not bool and isinstance(value, bool)):
            raise ModelFileError(
                f"The model's {name} must be {kind.__name__}, got {type(value).__name__}.", "config"
            )


def _object(value: dict[str, Any], arrays: Any, classes: Mapping[str, type]) -> Any:
    name = value["~class"]
    if name not in classes:
        raise ModelFileError(f"The model names an unknown class {str(name)[:60]!r}.", "class")
    if not set(value) <= {"~class", "params", "fitted"}:
        raise ModelFileError(f"The model's {name} has entries of unknown names.", "config")
    written = value.get("params", {}).items()
    params = {k: from_plain(v, arrays, classes) for k, v in written if k not in NOT_STATE}
    try:
        made = classes[name](**params)
    except TypeError:
        raise ModelFileError(f"The model's {name} has wrong parameters.", "config") from None
    if is_dataclass(made) and not hasattr(made, "get_params"):
        _check_record(made, name)
    if "fitted" in value:
        made._restore({k: from_plain(v, arrays, classes) for k, v in value["fitted"].items()})
    return made


def _check_record(made: Any, name: str) -> None:
    """Hold a record against its types, and its parts against each other."""
    wrong = wrong_field(made)
    if wrong:
        raise ModelFileError(f"The model's {name} has a wrong {wrong}.", "config")
    if hasattr(made, "check_consistent"):
        made.check_consistent()


def _array(content: Any, arrays: Mapping[str, np.ndarray], classes: Any) -> np.ndarray:
    if content not in arrays:
        raise ModelFileError(f"The model lacks the array {str(content)[:60]!r}.", "tensor_missing")
    return arrays[content]


def _names(content: Any, arrays: Any, classes: Any) -> np.ndarray:
    return np.array(content, dtype=object)


def _number(content: Any, arrays: Any, classes: Any) -> float:
    return float(content)


def _tuple(content: Any, arrays: Any, classes: Any) -> tuple[Any, ...]:
    return tuple(from_plain(item, arrays, classes) for item in content)


def _dict(content: Any, arrays: Any, classes: Any) -> dict[str, Any]:
    return {k: from_plain(v, arrays, classes) for k, v in content.items()}


def _foreign(content: Any, arrays: Any, classes: Any) -> None:
    return None


_READERS = {
    "~array": _array,
    "~names": _names,
    "~float": _number,
    "~tuple": _tuple,
    "~dict": _dict,
    "~foreign": _foreign,
}
