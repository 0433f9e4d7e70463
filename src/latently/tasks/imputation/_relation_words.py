"""Relations of columns as formulas in the names and units of the user."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from latently.nn import Relation, Relations
from latently.nn.masked._relations import CURVE, LINEAR, LOG, NUMBER

#: Relations with a larger held-out error are written with "~" instead of "=".
_NEAR = 1e-4
#: Terms below this share of the spread of the target are rounding errors.
_NEGLIGIBLE = 1e-9


def relation_words(relations: Relations | None, names: Sequence[str]) -> tuple[str, ...]:
    """Return a formula for the best relation of each set of columns, then the ordered pairs.

    Parameters
    ----------
    relations : Relations or None
        Relations of a fitted module.
    names : sequence of str
        Names of the columns, in encoded order.

    Returns
    -------
    tuple of str
        For example ``("total = fare + tip", "pickup <= dropoff")``.
    """
    if relations is None:
        return ()
    first: dict[frozenset[int], Relation] = {}
    for relation in relations.found:
        columns = frozenset([relation.target, *relation.inputs])
        known = first.get(columns)
        if known is None or relation.error < known.error:
            first[columns] = relation
    formulas = [_formula(relation, relations, names) for relation in first.values()]
    orders = [f"{names[a]} <= {names[b]}" for a, b in relations.ordered.tolist()]
    return (*formulas, *orders)


def _formula(relation: Relation, relations: Relations, names: Sequence[str]) -> str:
    target, inputs = names[relation.target], [names[column] for column in relation.inputs]
    equals = "=" if relation.error <= _NEAR else "~"
    if relation.kind == LINEAR:
        return f"{target} {equals} {_sum(relation, relations, inputs)}"
    if relation.kind == LOG:
        return f"{target} {equals} {_product(relation, inputs)}"
    kind = "curve" if relation.kind == CURVE else "table"
    return f"{target} {equals} {kind}({inputs[0]})"


def _sum(relation: Relation, relations: Relations, inputs: Sequence[str]) -> str:
    chosen, target = list(relation.inputs), relation.target
    scale, zero = relations.scale.numpy(), relations.zero.numpy()
    intercept, *slopes = relation.coefficients.tolist()
    own = np.array(slopes) * scale[target] / scale[chosen]
    offset = zero[target] + scale[target] * intercept - float(own @ zero[chosen])
    terms = [_term(slope, name) for slope, name in zip(own, inputs, strict=True)]
    if abs(offset) > _NEGLIGIBLE * max(scale[target], abs(zero[target])):
        unit = "" if relations.group[target] == NUMBER else " s"
        terms.append(f"{'-' if offset < 0 else '+'} {abs(offset):.6g}{unit}")
    return " ".join(terms).removeprefix("+ ")


def _term(slope: float, name: str) -> str:
    size = f"{abs(slope):.4g}"
    return f"{'-' if slope < 0 else '+'} {name if size == '1' else f'{size} {name}'}"


def _product(relation: Relation, inputs: Sequence[str]) -> str:
    intercept, *powers = relation.coefficients.tolist()
    factor = f"{relation.sign * float(np.exp(intercept)):.4g}"
    parts = [_power(name, power) for name, power in zip(inputs, powers, strict=True)]
    return " * ".join(parts if factor == "1" else [factor, *parts])


def _power(name: str, power: float) -> str:
    size = f"{power:.4g}"
    return name if size == "1" else f"{name}^{size}"
