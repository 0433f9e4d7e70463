"""The autoencoder as a torch module: Network x Latent x Likelihood."""

from __future__ import annotations

from typing import ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from latently.nn._latents import Code, Deterministic, Latent
from latently.nn._likelihoods import Likelihood
from latently.nn._refinement import refine


class Cells(NamedTuple):
    """Rows of the encoded matrix, and which of their cells were seen.

    Attributes
    ----------
    values : Tensor of shape (batch, \\*shape)
        Encoded values; anything finite where a cell is missing.
    observed : Tensor of shape (batch, n_columns) or None
        True where a cell was seen; None where all were.
    """

    values: Tensor
    observed: Tensor | None = None

    def take(self, index: Tensor | slice) -> Cells:
        """Return some of the rows."""
        observed = None if self.observed is None else _rows(self.observed, index)
        return Cells(_rows(self.values, index), observed)

    def split(self, sizes: list[int]) -> list[Cells]:
        """Return consecutive rows in parts, which are views."""
        values = torch.split(self.values, sizes)
        if self.observed is None:
            return [Cells(part) for part in values]
        return list(map(Cells, values, torch.split(self.observed, sizes)))


def _rows(tensor: Tensor, index: Tensor | slice) -> Tensor:
    """Return some rows; places are selected, which is faster than to index by them."""
    if isinstance(index, Tensor) and index.dtype == torch.int64:
        return tensor.index_select(0, index)
    return tensor[index]


class Rows(NamedTuple):
    """Flattened encoded rows in double precision, and which of their elements were seen.

    Attributes
    ----------
    values : Tensor of shape (batch, width)
        Anything finite where an element is missing.
    seen : Tensor of bool, shape (batch, width), or None
        None where all were seen.
    """

    values: Tensor
    seen: Tensor | None = None

    def take(self, places: Tensor | slice) -> Rows:
        """Return some of the rows."""
        return Rows(self.values[places], None if self.seen is None else self.seen[places])


class RowLoss(NamedTuple):
    """The two parts of each row's training loss, in nats and in the latent's own unit."""

    reconstruction: Tensor
    penalty: Tensor


class AutoencoderModule(nn.Module):
    """Encoder, latent, decoder and likelihood.

    Parameters
    ----------
    encoder : Module
        (batch, \\*shape) -> (batch, n_hidden of the latent).
    latent : Latent
        The bottleneck.
    decoder : Module
        (batch, n_decoded of the latent) -> as many numbers a row as an encoded row has.
    likelihood : Likelihood
        The error of each cell.
    center : Tensor of shape (width,)
        Mean of the encoded rows, taken off before the encoder, so that a missing cell reads as
        the mean.
    refinement_steps : int, default=0
        Steps that the codes of a plain latent descend from the encoder's answer, after training.
    """

    center: Tensor
    #: True where answers need double precision whatever the input.
    is_double: ClassVar[bool] = False

    @property
    def is_steady(self) -> bool:
        """True where every step of a training is the same computation on other numbers."""
        return type(self) is AutoencoderModule

    def __init__(
        self,
        encoder: nn.Module,
        latent: Latent,
        decoder: nn.Module,
        likelihood: Likelihood,
        center: Tensor,
        refinement_steps: int = 0,
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.latent = latent
        self.decoder = decoder
        self.likelihood = likelihood
        self.refinement_steps = refinement_steps
        self.register_buffer("center", center.clone())

    @property
    def encoders(self) -> list[nn.Module]:
        """The encoders whose layers say something of a row: one, but for an ensemble."""
        return [self.encoder]

    def centered(self, cells: Cells) -> Tensor:
        """Return flattened rows less their mean, zero where missing, shape (batch, width)."""
        values = cells.values.flatten(1) - self.center
        if cells.observed is None:
            return values
        return torch.where(self.likelihood.spread(cells.observed), values, 0.0)

    def hidden(self, cells: Cells) -> Tensor:
        """Return the encoder's answer, shape (batch, n_hidden of the latent)."""
        answer: Tensor = self.encoder(self.centered(cells).view(cells.values.shape)).flatten(1)
        return answer.to(self.center.dtype)  # codes and penalties in full precision

    def encode(self, cells: Cells) -> Code:
        """Return the code of each row, refined where asked for."""
        code: Code = self.latent(self.hidden(cells))
        if not self.refinement_steps:
            return code
        assert isinstance(self.latent, Deterministic)
        target = cells.values.flatten(1)

        def error(sample: Tensor) -> Tensor:
            losses: Tensor = self.likelihood(self.decode(sample), target, cells.observed).sum(1)
            return losses

        refined = refine(code.value, self.latent.prior_spread, error, self.refinement_steps)
        return Code(refined, refined, code.penalty)

    def draw_code(self, cells: Cells) -> Tensor:
        """Return one code a row, drawn from its posterior where there is one."""
        return self.encode(cells).value

    def begin_step(self, progress: float) -> None:
        """Hear which share of the training is over."""

    def metrics(self, cells: Cells) -> dict[str, float]:
        """Return figures for the history beside the loss, where the kind of model has any."""
        return {}

    def decode(self, sample: Tensor) -> Tensor:
        """Return the likelihood's parameters for each code, shape (batch, width)."""
        decoded: Tensor = self.decoder(self.latent.widen(sample)).flatten(1)
        return decoded + self.likelihood.offset

    def reconstruct(self, cells: Cells) -> Tensor:
        """Return the expected encoded rows, shape (batch, \\*shape)."""
        mean = self.likelihood.mean(self.decode(self.encode(cells).sample))
        rows: Tensor = mean.view(cells.values.shape)
        return rows

    def fill(self, cells: Cells) -> Tensor:
        """Return encoded rows with what is expected in their gaps, shape (batch, \\*shape)."""
        if cells.observed is None:
            return cells.values
        seen = self.likelihood.spread(cells.observed).view(cells.values.shape)
        return torch.where(seen, cells.values, self.reconstruct(cells))

    def forward(self, inputs: Cells, target: Cells) -> RowLoss:
        """Return the two parts of each row's loss, for what is to be rebuilt from ``inputs``."""
        code = self.latent(self.hidden(inputs))
        losses = self.likelihood(
            self.decode(code.sample), target.values.flatten(1), target.observed
        )
        return RowLoss(losses.sum(1), code.penalty)

    def cell_errors(self, cells: Cells) -> Tensor:
        """Return the half deviance of each cell, shape (batch, n_columns), in nats, least zero."""
        target = cells.values.flatten(1)
        parameters = self.decode(self.encode(cells).sample)
        deviance: Tensor = self.likelihood.deviance(parameters, target, cells.observed)
        return deviance
