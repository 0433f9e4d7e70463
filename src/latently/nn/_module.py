"""The autoencoder as a torch module, composed of a network, a latent and a likelihood."""

from __future__ import annotations

from typing import ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from latently.nn._latents import Code, Deterministic, Latent
from latently.nn._likelihoods import Likelihood
from latently.nn._refinement import refine


class Cells(NamedTuple):
    """Encoded rows and a mask of their observed cells.

    Attributes
    ----------
    values : Tensor of shape (batch, \\*shape)
        Encoded values, with any finite value where a cell is missing.
    observed : Tensor of shape (batch, n_columns) or None
        True where a cell was observed, or None if all were.
    """

    values: Tensor
    observed: Tensor | None = None

    def take(self, index: Tensor | slice) -> Cells:
        """Return the rows at ``index``."""
        observed = None if self.observed is None else _rows(self.observed, index)
        return Cells(_rows(self.values, index), observed)

    def split(self, sizes: list[int]) -> list[Cells]:
        """Split the rows into consecutive parts of the given sizes, as views."""
        values = torch.split(self.values, sizes)
        if self.observed is None:
            return [Cells(part) for part in values]
        return list(map(Cells, values, torch.split(self.observed, sizes)))


def _rows(tensor: Tensor, index: Tensor | slice) -> Tensor:
    """Return the rows at ``index``; ``index_select`` is faster than indexing by a tensor."""
    if isinstance(index, Tensor) and index.dtype == torch.int64:
        return tensor.index_select(0, index)
    return tensor[index]


class Rows(NamedTuple):
    """Flattened encoded rows and a mask of their observed elements.

    Attributes
    ----------
    values : Tensor of shape (batch, width)
        Encoded elements, with any finite value where an element is missing.
    seen : Tensor of bool, shape (batch, width), or None
        True where an element was observed, or None if all were.
    """

    values: Tensor
    seen: Tensor | None = None

    def take(self, places: Tensor | slice) -> Rows:
        """Return the rows at ``places``."""
        return Rows(self.values[places], None if self.seen is None else self.seen[places])


class RowLoss(NamedTuple):
    """The training loss of each row.

    Attributes
    ----------
    reconstruction : Tensor of shape (batch,)
        Negative log-likelihood in nats, summed over the columns.
    penalty : Tensor of shape (batch,)
        Unweighted penalty of the latent, in the unit of that latent.
    """

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
        (batch, n_decoded of the latent) -> as many numbers per row as an encoded row has.
    likelihood : Likelihood
        The loss of each cell.
    center : Tensor of shape (width,)
        Mean of the encoded rows. It is subtracted before the encoder, and missing cells are set to
        zero afterwards, so that they equal the mean.
    refinement_steps : int, default=0
        Number of optimisation steps by which a deterministic code is refined after training. More
        steps lower the reconstruction error and take more time.
    """

    center: Tensor
    #: True if results are computed in double precision for every input dtype.
    is_double: ClassVar[bool] = False

    @property
    def is_steady(self) -> bool:
        """True if every training step is the same computation on other values."""
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
        """The encoders: one, or one per member of an ensemble."""
        return [self.encoder]

    def centered(self, cells: Cells) -> Tensor:
        """Return flattened rows minus ``center``, zero where missing, shape (batch, width)."""
        values = cells.values.flatten(1) - self.center
        if cells.observed is None:
            return values
        return torch.where(self.likelihood.spread(cells.observed), values, 0.0)

    def hidden(self, cells: Cells) -> Tensor:
        """Return the encoder's output, shape (batch, n_hidden of the latent)."""
        output: Tensor = self.encoder(self.centered(cells).view(cells.values.shape)).flatten(1)
        return output.to(self.center.dtype)  # codes and penalties are not computed in bfloat16

    def encode(self, cells: Cells) -> Code:
        """Return the code of each row, refined by ``refinement_steps`` steps."""
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
        """Return a code for each row, drawn from its posterior if the latent has one."""
        return self.encode(cells).value

    def begin_fit(self, cells: Cells, components: Tensor, mean_square: float) -> None:
        """Prepare for a training by its rows. Do nothing by default.

        Parameters
        ----------
        cells : Cells
            Training rows.
        components : Tensor of shape (n, width)
            Principal components of the rows, by decreasing variance.
        mean_square : float
            Mean squared length of centred rows.
        """

    def training_inputs(self, cells: Cells) -> Cells:
        """Return the inputs of the training for some rows: by default the rows themselves."""
        return cells

    def begin_step(self, progress: float) -> None:
        """Prepare for a training step. It is called with the training progress in [0, 1]."""

    def metrics(self, cells: Cells) -> dict[str, float]:
        """Return the metrics of the latent by name, for the history."""
        if type(self.latent).metrics is Latent.metrics:
            return {}  # without a pass through the encoder
        return self.latent.metrics(self.hidden(cells))

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
        """Return encoded rows with missing cells filled by the reconstruction."""
        if cells.observed is None:
            return cells.values
        seen = self.likelihood.spread(cells.observed).view(cells.values.shape)
        return torch.where(seen, cells.values, self.reconstruct(cells))

    def forward(self, inputs: Cells, target: Cells) -> RowLoss:
        """Return the loss of each row for reconstructing ``target`` from ``inputs``."""
        code = self.latent(self.hidden(inputs))
        losses = self.likelihood(
            self.decode(code.sample), target.values.flatten(1), target.observed
        )
        return RowLoss(losses.sum(1), code.penalty)

    def cell_errors(self, cells: Cells) -> Tensor:
        """Return half the deviance of each cell, shape (batch, n_columns), in nats, at least 0."""
        target = cells.values.flatten(1)
        parameters = self.decode(self.encode(cells).sample)
        deviance: Tensor = self.likelihood.deviance(parameters, target, cells.observed)
        return deviance
