"""Private functions of scikit-learn. No other module imports private names of it."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.utils._param_validation import (
    HasMethods,
    Interval,
    InvalidParameterError,
    StrOptions,
    validate_parameter_constraints,
)
from sklearn.utils.validation import _check_n_features, _check_sample_weight

from latently.exceptions import ParameterError

__all__ = [
    "HasMethods",
    "Interval",
    "StrOptions",
    "check_n_features",
    "check_parameters",
    "check_sample_weight",
    "plain_number",
]


#: Larger integers are no exact float64.
_MOST = 2**53


def check_parameters(constraints: dict[str, Any], params: dict[str, Any], caller: str) -> None:
    """Raise ParameterError if parameters violate constraints in the format of scikit-learn.

    A boolean is not a number: True is refused for ``n_components``.
    """
    for name, value in params.items():
        allowed = constraints.get(name, ["boolean"])
        if isinstance(value, bool | np.bool_) and isinstance(allowed, list):
            numbers = [choice for choice in allowed if isinstance(choice, Interval)]
            if numbers and "boolean" not in allowed:
                raise ParameterError(
                    f"The {name!r} parameter of {caller} must be {numbers[0]}. Got {value} instead."
                )
        if isinstance(value, int) and abs(value) > _MOST:
            raise ParameterError(
                f"The {name!r} parameter of {caller} must be at most {_MOST:,}, got a number of "
                f"{len(str(value))} digits. Give a smaller one."
            )
    try:
        validate_parameter_constraints(constraints, params, caller_name=caller)
    except InvalidParameterError as error:
        raise ParameterError(str(error)) from None


def plain_number(value: Any) -> Any:
    """Return a NumPy number as a Python number, which does not overflow.

    Parameters
    ----------
    value : object
        Value of a parameter, or a tuple of values.

    Returns
    -------
    object
        The Python number. Other values are returned unchanged.
    """
    if isinstance(value, tuple):
        return tuple(plain_number(item) for item in value)
    return value.item() if isinstance(value, np.generic) else value


def check_n_features(estimator: Any, X: np.ndarray, *, reset: bool) -> None:
    """Record the number of columns of ``X``, or compare it with the number in ``fit``."""
    _check_n_features(estimator, X, reset=reset)


def check_sample_weight(sample_weight: Any, n_rows: int) -> np.ndarray:
    """Return row weights as floats, and raise ValueError for negative ones."""
    weights: np.ndarray = _check_sample_weight(
        sample_weight, np.empty((n_rows, 1)), dtype=np.float64, ensure_non_negative=True
    )
    return weights
