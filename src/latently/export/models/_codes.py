"""Codes of rows in a graph, and the rows decoded from them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from latently.exceptions import ParameterError
from latently.export._columns import Encoded
from latently.export._graph import Value
from latently.export._likelihood import cell_errors, mean_of, parameters_of_mean
from latently.export.models._layers import apply_layer, weights
from latently.export.models._map import coordinates
from latently.export.models._stored import spread
from latently.export.models._surprise import membership, remembered, row_mean
from latently.nn import (
    KL,
    L1,
    AutoencoderModule,
    BatchTopK,
    Deterministic,
    EnsembleModule,
    Gaussian,
    JumpReLU,
    Latent,
    MapModule,
    MaskedModule,
    Ordered,
    StoredRows,
    TopK,
)
from latently.nn.map import Places
from latently.nn.variants import LEAST_THRESHOLD, QuantizedLatent


class Rebuilt(NamedTuple):
    """Code and reconstruction of rows in a graph.

    Attributes
    ----------
    code : Value of shape (n_rows, n_components)
        Codes, before any rotation.
    mean : Value of shape (n_rows, width)
        Expected encoded rows.
    errors : Value of shape (n_rows, n_columns)
        Half deviance of each cell in nats.
    """

    code: Value
    mean: Value
    errors: Value


def check_module(module: AutoencoderModule) -> None:
    """Raise ParameterError if the results of a module cannot be computed by a graph."""
    if isinstance(module, EnsembleModule):
        for member in module.members:
            check_module(member)  # type: ignore[arg-type]
    refused = {
        "an imputation engine": isinstance(module, MaskedModule),
        "refined codes (refinement_steps above 0)": module.refinement_steps > 0,
    }
    for what, is_refused in refused.items():
        if is_refused:
            raise unexportable(what)


def unexportable(what: str) -> ParameterError:
    """Return the error for a model that has no graph."""
    return ParameterError(
        f"model must be a detector, a denoiser or an autoencoder whose code a network computes to "
        f"be exported, got {what}. Fit an AnomalyDetector, an Autoencoder, or a kind of it."
    )


def rebuild(module: AutoencoderModule, encoded: Encoded) -> Rebuilt:
    """Return code, reconstruction and errors of rows.

    Parameters
    ----------
    module : AutoencoderModule
        Trained module.
    encoded : Encoded
        Encoded rows.
    """
    likelihood = module.likelihood
    target = encoded.values.reshape(-1, likelihood.layout.width)
    if isinstance(module, StoredRows):
        code = membership(module, encoded)
        parameters = parameters_of_mean(likelihood, remembered(module, code))
    else:
        code = code_of(module, encoded)
        parameters = decoded(module, code)
    target = target.cast(parameters.dtype)
    errors = cell_errors(likelihood, parameters, target, encoded.observed)
    return Rebuilt(code, mean_of(likelihood, parameters), errors)


def row_errors(rebuilt: Rebuilt, encoded: Encoded, module: AutoencoderModule) -> Value:
    """Return the mean error over the observed cells of each row, shape (n_rows,)."""
    if encoded.observed is None:
        return rebuilt.errors.mean()
    return row_mean(rebuilt.errors, encoded.observed, module.likelihood.layout).reshape(-1)


def code_of(module: AutoencoderModule, encoded: Encoded) -> Value:
    """Return the code of each row, shape (n_rows, n_components)."""
    if isinstance(module, EnsembleModule):
        members: list[AutoencoderModule] = list(module.members)  # type: ignore[arg-type]
        return encoded.values.graph.concat([code_of(member, encoded) for member in members])
    return select(module.latent, _hidden(module, encoded))


def decoded(module: AutoencoderModule, code: Value) -> Value:
    """Return the likelihood's parameters for each code, shape (n_rows, width)."""
    if isinstance(module, EnsembleModule):
        return _mean_decoded(module, code)
    if isinstance(module, MapModule):
        code = code / float(module.latent.unit)
    lacking = module.latent.n_decoded - module.latent.n_components
    if lacking:
        pads = np.array([0, 0, 0, lacking])
        code = code.graph.apply("Pad", code, pads)
    rows = apply_layer(module.decoder, code).reshape(-1, module.likelihood.layout.width)
    return rows + weights(module.likelihood.offset, rows)


def _mean_decoded(module: EnsembleModule, code: Value) -> Value:
    parts, start = [], 0
    members: list[AutoencoderModule] = list(module.members)  # type: ignore[arg-type]
    for member, size in zip(members, module.sizes, strict=True):
        parts.append(decoded(member, code.columns(start, start + size)))
        start += size
    total = parts[0]
    for part in parts[1:]:
        total = total + part
    return total / len(parts)


def _hidden(module: AutoencoderModule, encoded: Encoded) -> Value:
    """Return the encoder's output of centred rows, with zeros where a cell is missing."""
    layout = module.likelihood.layout
    rows = encoded.values.reshape(-1, layout.width)
    rows = rows - weights(module.center, rows)
    if encoded.observed is not None:
        rows = rows * spread(encoded.observed.cast(rows.dtype), layout)
    if isinstance(module, MapModule):
        return coordinates(module, rows)
    hidden = apply_layer(module.encoder, rows.reshape(-1, *layout.shape))
    return hidden.graph.apply("Flatten", hidden, axis=1)


def select(latent: Latent, hidden: Value) -> Value:
    """Return the code of each row from the encoder's output.

    Parameters
    ----------
    latent : Latent
        Bottleneck.
    hidden : Value of shape (n_rows, n_hidden)
        The encoder's output.
    """
    graph = hidden.graph
    if isinstance(latent, Ordered | Gaussian):
        return hidden.columns(0, latent.n_components)
    if isinstance(latent, TopK):
        return _largest(latent.n_active, hidden)
    if isinstance(latent, BatchTopK):
        return graph.where(hidden > float(latent.threshold), hidden, hidden * 0.0)
    if isinstance(latent, JumpReLU):
        threshold = latent.threshold.clamp(min=LEAST_THRESHOLD)
        return graph.where(hidden > weights(threshold, hidden), hidden, hidden * 0.0)
    if isinstance(latent, L1):
        return (hidden - float(latent.shift)).relu()
    if isinstance(latent, KL):
        return ((hidden - float(latent.shift)) / 2).tanh().relu()
    if isinstance(latent, QuantizedLatent):
        return _nearest_words(latent, hidden)
    if not isinstance(latent, Places) and type(latent) is not Deterministic:
        raise unexportable(f"the latent {type(latent).__name__}")
    return hidden


def _largest(n_active: int, hidden: Value) -> Value:
    """Return the largest positive components of each row, and zeros for the others."""
    values = hidden.graph.apply("TopK", hidden, np.array([n_active]), axis=1, n_outputs=2)
    least = values.min(keep=True)
    return hidden.graph.where(hidden >= least, hidden.relu(), hidden * 0.0)


def _nearest_words(latent: QuantizedLatent, hidden: Value) -> Value:
    """Return the nearest codeword of each part of a code."""
    codebook = weights(latent.codebook, hidden)
    size, words = codebook.shape[2], []
    for group, book in enumerate(codebook):
        part = hidden.columns(group * size, (group + 1) * size)
        distances = (part.expanded(1) - book[None]).square().sum(2)
        words.append(hidden.graph.constant(book).take((-distances).argmax()))
    return hidden.graph.concat(words)
