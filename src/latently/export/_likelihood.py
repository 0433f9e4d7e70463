"""The likelihood of encoded rows in a graph: expected elements, and the error of each cell."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from latently._layout import Block
from latently.exceptions import ParameterError
from latently.export._graph import Value
from latently.export.models._stored import by_column
from latently.nn import Likelihood

#: Kinds of columns whose errors can be computed in a graph.
_KINDS = ("gaussian", "bernoulli", "categorical")
#: Smallest and largest mean of a memory's probabilities.
_LEAST_SHARE = 1e-3


class _Run(NamedTuple):
    block: Block
    elements: slice

    def of(self, values: Value) -> Value:
        return values.columns(self.elements.start, self.elements.stop)

    def shaped(self, values: Value) -> Value:
        """Return the elements as (n_rows, n_columns, width)."""
        return self.of(values).reshape(-1, self.block.n_columns, self.block.width)


def check_likelihood(likelihood: Likelihood) -> None:
    """Raise ParameterError if the graph has no operators for a likelihood."""
    found = [block.likelihood for block in likelihood.layout.blocks]
    other: str | None = next((name for name in found if name not in _KINDS), None)
    if likelihood.own is not None:
        other = type(likelihood.own).__name__
    if other is not None:
        raise ParameterError(
            f"likelihood must be {', '.join(_KINDS)} to be exported, got {other}. Fit the model "
            'with likelihood="gaussian".'
        )


def _runs(likelihood: Likelihood) -> Iterator[_Run]:
    start = 0
    for block in likelihood.layout.blocks:
        stop = start + block.n_columns * block.width
        yield _Run(block, slice(start, stop))
        start = stop


def mean_of(likelihood: Likelihood, parameters: Value) -> Value:
    """Return the expected encoded rows, shape (n_rows, width).

    Parameters
    ----------
    likelihood : Likelihood
        Likelihood of the rows.
    parameters : Value of shape (n_rows, width)
        The decoder's output plus the offset.
    """
    parts = []
    for run in _runs(likelihood):
        own = run.of(parameters)
        if run.block.likelihood == "bernoulli":
            own = own.sigmoid()
        elif run.block.likelihood == "categorical":
            shares = run.shaped(parameters).softmax()
            own = shares.reshape(-1, run.block.n_columns * run.block.width)
        parts.append(own)
    return parameters.graph.concat(parts)


def parameters_of_mean(likelihood: Likelihood, mean: Value) -> Value:
    """Return the parameters that have the given means, clipped to [0.001, 0.999] for shares."""
    parts = []
    for run in _runs(likelihood):
        own = run.of(mean)
        if run.block.likelihood != "gaussian":
            own = own.maximum(_LEAST_SHARE).minimum(1 - _LEAST_SHARE)
            others = -own + 1.0
            own = own.log() - others.log() if run.block.likelihood == "bernoulli" else own.log()
        parts.append(own)
    return mean.graph.concat(parts)


def cell_errors(
    likelihood: Likelihood, parameters: Value, target: Value, observed: Value | None
) -> Value:
    """Return half the deviance of each cell, shape (n_rows, n_columns), in nats.

    Parameters
    ----------
    likelihood : Likelihood
        Likelihood of the rows.
    parameters : Value of shape (n_rows, width)
        The decoder's output plus the offset.
    target : Value of shape (n_rows, width)
        Encoded rows.
    observed : Value of bool, shape (n_rows, n_columns), or None
        True where a cell is observed.
    """
    elements = parameters.graph.concat(
        [_errors(likelihood, run, parameters, target) for run in _runs(likelihood)]
    )
    cells = by_column(elements, likelihood.layout).maximum(0.0)
    return cells if observed is None else cells * observed.cast(cells.dtype)


def pixel_errors(kind: str, parameters: Value, target: Value, observed: Value | None) -> Value:
    """Return half the deviance of each pixel, of images of any size.

    Parameters
    ----------
    kind : {"gaussian", "bernoulli"}
        Likelihood of the pixels.
    parameters, target : Value of shape (n_rows, n_pixels)
        Parameters of the likelihood, and encoded pixels.
    observed : Value of bool, shape (n_rows, n_pixels), or None
        True where a pixel is observed.
    """
    errors = _bernoulli if kind == "bernoulli" else _gaussian
    cells = errors(parameters, target).maximum(0.0)
    return cells if observed is None else cells * observed.cast(cells.dtype)


def _gaussian(parameters: Value, target: Value) -> Value:
    return (target - parameters).square() * 0.5


def _bernoulli(logits: Value, target: Value) -> Value:
    unlike = -target + 1.0
    return unlike * logits - _log_sigmoid(logits) + _entropy(target) + _entropy(unlike)


def _errors(likelihood: Likelihood, run: _Run, parameters: Value, target: Value) -> Value:
    """Return what each element adds to the error of its cell."""
    own, wanted = run.of(parameters), run.of(target)
    if run.block.likelihood == "gaussian":
        if likelihood.log_scale is not None:
            scale = likelihood.log_scale.detach().double().exp().numpy()[run.elements]
            own, wanted = own / scale, wanted / scale
        return _gaussian(own, wanted)
    if run.block.likelihood == "bernoulli":
        return _bernoulli(own, wanted)
    shares = run.shaped(parameters)
    logs = shares - _log_sum(shares)
    return -(run.shaped(target) * logs).reshape(-1, run.block.n_columns * run.block.width)


def _log_sigmoid(values: Value) -> Value:
    """Return min(x, 0) - log(1 + exp(-|x|))."""
    return values.minimum(0.0) - ((-values.abs()).exp() + 1.0).log()


def _entropy(shares: Value) -> Value:
    """Return x log x, zero for a share of zero."""
    tiny = float(np.finfo(shares.dtype).tiny)
    return shares * shares.maximum(tiny).log()


def _log_sum(values: Value) -> Value:
    top = values.max(2, keep=True)
    return top + (values - top).exp().sum(2, keep=True).log()
