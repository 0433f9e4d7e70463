"""Search spaces: the values of each parameter."""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from latently.estimators import BaseAutoencoder
from latently.exceptions import ParameterError
from latently.tuning._optuna import import_optuna


@dataclass(frozen=True)
class Dimension:
    """Dimension of a search space.

    Attributes
    ----------
    distribution : optuna distribution
        Distribution of the value, or of the label of a choice.
    choices : dict or None
        Value of each label. None if the value itself is drawn.
    """

    distribution: Any
    choices: Mapping[str, Any] | None = None

    def value_of(self, drawn: Any) -> Any:
        """Return the value of the parameter for a drawn value or label."""
        return drawn if self.choices is None else self.choices[drawn]

    def drawn_for(self, value: Any) -> Any:
        """Return the drawn value or label of a value, or None if it is outside the space."""
        if self.choices is not None:
            label = _label(value)
            return label if label in self.choices else None
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        inside = is_number and self.distribution._contains(float(value))
        return value if inside else None

    def to_json(self) -> str:
        """Return the distribution as JSON."""
        text: str = import_optuna().distributions.distribution_to_json(self.distribution)
        return text


Space = dict[str, Dimension]


def read_space(space: Mapping[str, Any], model: BaseAutoencoder) -> Space:
    """Validate a search space.

    Parameters
    ----------
    space : mapping of str to list, tuple or optuna distribution
        Values of each parameter.
    model : autoencoder
        Autoencoder to tune, with its network set.

    Returns
    -------
    dict of str to Dimension
        Dimension of each parameter.

    Raises
    ------
    ParameterError
        If a parameter is unknown, or its values are invalid.
    """
    if not isinstance(space, Mapping) or not space:
        raise ParameterError(
            "space must be a dict of parameter names and their values, with one at least, got "
            f'{space!r:.60}. Try {{"learning_rate": (5e-4, 1e-2, "log")}}.'
        )
    known = [name for name in model.get_params() if name not in _NOT_SEARCHED]
    for name in space:
        if name not in known:
            raise ParameterError(_unknown(str(name), known, type(model).__name__))
    return {name: _dimension(name, values) for name, values in space.items()}


#: Parameters that do not affect the quality of the model.
_NOT_SEARCHED = ("engine", "random_state", "verbose")


def _unknown(name: str, known: list[str], model: str) -> str:
    near = difflib.get_close_matches(name, known, 1)
    hint = f"Did you mean {near[0]!r}?" if near else f"Try one of {', '.join(known[:6])}."
    return f"space names {name!r}, which {model} does not have. {hint}"


def _dimension(name: str, values: Any) -> Dimension:
    distributions = import_optuna().distributions
    if isinstance(values, distributions.BaseDistribution):
        return Dimension(values)
    if isinstance(values, list):
        if not values:
            raise ParameterError(
                f"space must give {name!r} at least one value, got no values. Give some."
            )
        choices = {_label(value): value for value in values}
        return Dimension(distributions.CategoricalDistribution(list(choices)), choices)
    if not isinstance(values, tuple) or len(values) not in (2, 3) or not _is_range(values):
        raise ParameterError(
            f"space must give {name!r} a list of choices, a (low, high) tuple, a "
            f'(low, high, "log") tuple or an optuna distribution, got {values!r:.60}.'
        )
    low, high, log = values[0], values[1], len(values) == 3
    whole = isinstance(low, int) and isinstance(high, int)
    kind = distributions.IntDistribution if whole else distributions.FloatDistribution
    return Dimension(kind(low, high, log=log))


def _is_range(values: tuple[Any, ...]) -> bool:
    low, high, *rest = values
    numbers = all(isinstance(v, int | float) and not isinstance(v, bool) for v in (low, high))
    if not numbers or low >= high or rest not in ([], ["log"]):
        return False
    return not rest or low > 0


def _label(value: Any) -> str:
    """Return the label of a choice: its JSON or, without one, its repr."""
    try:
        return json.dumps(value)
    except TypeError:
        return " ".join(repr(value).split())


# ------------------------------------------------------------------ default spaces
def default_space(model: BaseAutoencoder, *, sizes_too: bool) -> dict[str, Any]:
    """Return the default search space of an autoencoder.

    Parameters
    ----------
    model : autoencoder
        Autoencoder to tune, with its network set.
    sizes_too : bool
        If True, include the size of the code. It is not searched for reconstruction errors, which
        always decrease with the size.

    Returns
    -------
    dict
        Values of each parameter, for ``read_space``.
    """
    space = model.search_space()
    if not sizes_too:
        space.pop("n_components", None)
    return space
