"""Names that changed before 1.0. Old ones raise an error; model files may still hold them."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Self, TypeVar, cast

Function = TypeVar("Function", bound=Callable[..., Any])

#: New name of each class that was renamed.
CLASSES: Mapping[str, str] = {
    "FewLabels": "MaxFScore",
    "MaskedAutoencoder": "ImputationAutoencoder",
    "MemoryAutoencoder": "NeighborAutoencoder",
}


class Renames:
    """Base of classes of which parameters of the constructor, or attributes, were renamed.

    Attributes
    ----------
    renamed_parameters : dict of str to str
        New name of each old one.
    renamed_attributes : dict of str to str
        The same of methods and other attributes.
    """

    renamed_parameters: ClassVar[Mapping[str, str]] = {}
    renamed_attributes: ClassVar[Mapping[str, str]] = {}

    def __getattr__(self, name: str) -> Any:
        """Raise AttributeError, with the new name if there is one."""
        new = type(self).renamed_attributes.get(name)
        if new is not None:
            raise AttributeError(f"{name} of {type(self).__name__} was renamed. Use {new}.")
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        """Refuse old names of parameters."""
        _refuse(cls.__name__, cls.renamed_parameters, kwargs)
        return super().__new__(cls)

    def set_params(self, **params: Any) -> Self:
        """Set parameters, as scikit-learn does, and refuse old names of them."""
        _refuse(type(self).__name__, self.renamed_parameters, params)
        made: Self = super().set_params(**params)  # type: ignore[misc]  # of BaseEstimator
        return made


def renamed(**names: str) -> Callable[[Function], Function]:
    """Make a function refuse the old names of its parameters.

    Parameters
    ----------
    **names : str
        New name of each old one.

    Returns
    -------
    callable
        Decorator of the function.
    """

    def decorate(function: Function) -> Function:
        @functools.wraps(function)
        def checked(*args: Any, **kwargs: Any) -> Any:
            _refuse(function.__name__, names, kwargs)
            return function(*args, **kwargs)

        return cast(Function, checked)

    return decorate


def current_names(cls: Any, params: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters of a model file by their present names."""
    names = getattr(cls, "renamed_parameters", {})
    return {names.get(name, name): value for name, value in params.items()}


def _refuse(owner: str, names: Mapping[str, str], given: Mapping[str, Any]) -> None:
    from latently.exceptions import ParameterError  # keeps scikit-learn out of ``import latently``

    for old in given.keys() & names.keys():
        raise ParameterError(f"{old} of {owner} was renamed. Use {names[old]}.")
