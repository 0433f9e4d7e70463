"""Serialization of objects of a closed list of classes to strict JSON and a dict of arrays."""

from __future__ import annotations

import inspect
import math
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any, Protocol

import numpy as np

from latently._field_types import wrong_field
from latently._renamed import CLASSES, current_names
from latently.exceptions import ModelFileError, ParameterError

Arrays = dict[str, np.ndarray]

#: Prefix of the names of classes and functions that are not latently's.
OWN = "~"
#: Random states, which are left out of a model file.
_RANDOM = (np.random.RandomState, np.random.Generator)

#: Errors that inconsistent parts of an undamaged file may cause.
MISFITS = (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError)

#: Parameters of the process, not of the model: engine and verbosity. They are neither written nor
#: read.
NOT_STATE = frozenset({"engine", "verbose"})


class Stateful(Protocol):
    """Protocol of an estimator that can be serialized: its parameters and its fitted state."""

    def get_params(self, deep: bool = ...) -> dict[str, Any]: ...
    def __latently_state__(self) -> dict[str, Any]: ...
    def __latently_restore__(self, state: dict[str, Any] | None) -> None: ...


def to_plain(value: Any, arrays: Arrays, path: str = "") -> Any:
    """Return ``value`` as JSON values, and add its arrays to ``arrays`` under their path.

    A random state, and the modules of a custom network, become ``{"~foreign": class name}``. The
    user's own classes and functions are written by name, and must be given to ``load``.

    Raises
    ------
    ParameterError
        If a value could not be read again.
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
    if isinstance(value, _RANDOM):
        return {"~foreign": type(value).__name__}
    if inspect.isroutine(value) or isinstance(value, type):
        return {"~function": _function_name(value, path)}
    name = name_in_file(type(value))
    if name == "CustomNetwork":
        return {
            "~class": name,
            "params": {part: _foreign_part(value, part) for part in vars(value)},
        }
    plain = {"~class": name, "params": _plain_dict(_contents(value, path), arrays, path)}
    state = value.__latently_state__() if hasattr(value, "__latently_state__") else {}
    return {**plain, "fitted": _plain_dict(state, arrays, path)} if state else plain


def _foreign_part(value: Any, name: str) -> dict[str, str]:
    return {"~foreign": type(getattr(value, name)).__name__}


def name_in_file(part: Any) -> str:
    """Return the name of a class or function in a model file.

    Parameters
    ----------
    part : type or function
        A class or function of latently or of the user.

    Returns
    -------
    str
        The name, with a tilde before it if it is the user's.
    """
    is_ours = str(part.__module__).split(".")[0] == "latently"
    return part.__name__ if is_ours else f"{OWN}{part.__name__}"


def _function_name(value: Any, path: str) -> str:
    name = name_in_file(value)
    if not value.__name__.isidentifier() or not name.startswith(OWN):
        raise _unwritable(value, path)
    return name


def _contents(value: Any, path: str) -> dict[str, Any]:
    """Return the parameters of the constructor of an object, by name."""
    if hasattr(value, "get_params"):
        given = value.get_params(deep=False).items()
        return {name: item for name, item in given if name not in NOT_STATE}
    if is_dataclass(value):
        return {field.name: getattr(value, field.name) for field in fields(value) if field.init}
    kinds = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    try:
        taken = list(inspect.signature(type(value)).parameters.values())
    except ValueError:  # built in
        raise _unwritable(value, path) from None
    kept = {n: v for n, v in getattr(value, "__dict__", {}).items() if not n.startswith("_")}
    # An object with further attributes would lose them.
    if not all(one.kind in kinds for one in taken) or {one.name for one in taken} != set(kept):
        raise _unwritable(value, path)
    return kept


def _unwritable(value: Any, path: str) -> ParameterError:
    name = path.rsplit(".", 1)[-1] or "The model"
    return ParameterError(
        f"{name} must be a named function, a dataclass or an object of scikit-learn's kind to be "
        f"saved, got {value!r:.60}. Write it as one, and hand it to load(path, classes=[...])."
    )


def from_plain(value: Any, arrays: Mapping[str, np.ndarray], classes: Mapping[str, type]) -> Any:
    """Return the object that ``to_plain`` serialized.

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


def check_state(state: Mapping[str, Any], types: Mapping[str, type | tuple[type, ...]]) -> None:
    """Check the types of the fitted attributes in a model file.

    Raises
    ------
    ModelFileError
        If an entry is missing or of another type.
    """
    for name, kind in types.items():
        value = state.get(name)
        if isinstance(value, float) and math.isnan(value):
            raise ModelFileError(f"The model's {name} is not a number.", "config")
        kinds = kind if isinstance(kind, tuple) else (kind,)
        if not isinstance(value, kinds) or (bool not in kinds and isinstance(value, bool)):
            wanted = " or ".join(one.__name__ for one in kinds)
            raise ModelFileError(
                f"The model's {name} must be {wanted}, got {type(value).__name__}.", "config"
            )


def _object(value: dict[str, Any], arrays: Any, classes: Mapping[str, type]) -> Any:
    name = value["~class"]
    if isinstance(name, str):
        name = CLASSES.get(name, name)
    check_known(name, classes)
    if not set(value) <= {"~class", "params", "fitted"}:
        raise ModelFileError(f"The model's {name} has entries of unknown names.", "config")
    written = value.get("params", {}).items()
    read = {k: from_plain(v, arrays, classes) for k, v in written if k not in NOT_STATE}
    params = current_names(classes[name], read)
    try:
        made = classes[name](**params)
    except TypeError:
        raise ModelFileError(f"The model's {name} has wrong parameters.", "config") from None
    if is_dataclass(made) and not hasattr(made, "get_params"):
        _check_record(made, name)
    if hasattr(made, "__latently_restore__"):
        made.__latently_restore__(_state(value, arrays, classes))
    elif "fitted" in value:
        raise ModelFileError(f"The model's {name} has entries of unknown names.", "config")
    return made


def _state(
    value: dict[str, Any], arrays: Any, classes: Mapping[str, type]
) -> dict[str, Any] | None:
    if "fitted" not in value:
        return None
    return {k: from_plain(v, arrays, classes) for k, v in value["fitted"].items()}


def check_known(name: Any, classes: Mapping[str, Any]) -> None:
    """Raise ModelFileError if a file names a class or function that is not in ``classes``."""
    if isinstance(name, list | dict):
        raise ModelFileError("The model names a class by something else than text.", "config")
    if name not in classes:
        raise ModelFileError(f"The model names an unknown class {str(name)[:60]!r}.", "class")


def names_in(value: Any) -> set[str]:
    """Return the names of all classes and functions in a configuration.

    Parameters
    ----------
    value : JSON value
        What ``to_plain`` returned.

    Returns
    -------
    set of str
        As ``name_in_file`` gives them.
    """
    if isinstance(value, list):
        return set().union(*map(names_in, value))
    if not isinstance(value, dict):
        return set()
    named = (value.get(tag) for tag in ("~class", "~function"))
    here = {name for name in named if isinstance(name, str)}
    return here.union(*map(names_in, value.values()))


def _check_record(made: Any, name: str) -> None:
    """Check the types of the fields of a record, and their consistency."""
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
    if not isinstance(content, list) or not all(isinstance(name, str) for name in content):
        raise ModelFileError("The model has names that are not texts.", "config")
    return np.array(content, dtype=object)


def _number(content: Any, arrays: Any, classes: Any) -> float:
    return float(content)


def _tuple(content: Any, arrays: Any, classes: Any) -> tuple[Any, ...]:
    return tuple(from_plain(item, arrays, classes) for item in content)


def _dict(content: Any, arrays: Any, classes: Any) -> dict[str, Any]:
    return {k: from_plain(v, arrays, classes) for k, v in content.items()}


def _function(content: Any, arrays: Any, classes: Mapping[str, Any]) -> Any:
    if not str(content).startswith(OWN):
        raise ModelFileError("The model names a function of latently's.", "class")
    check_known(content, classes)
    return classes[content]


def _foreign(content: Any, arrays: Any, classes: Any) -> None:
    return None


_READERS = {
    "~array": _array,
    "~names": _names,
    "~float": _number,
    "~tuple": _tuple,
    "~dict": _dict,
    "~foreign": _foreign,
    "~function": _function,
}
