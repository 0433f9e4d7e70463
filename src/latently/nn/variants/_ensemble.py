"""An ensemble of autoencoders with concatenated codes and averaged reconstructions."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from latently.nn._latents import Code, Deterministic
from latently.nn._layers import total_of
from latently.nn._likelihoods import Likelihood
from latently.nn._module import AutoencoderModule, Cells


class EnsembleModule(AutoencoderModule):
    """Autoencoders whose mean reconstruction has a lower error than that of each member [1]_.

    Parameters
    ----------
    members : sequence of AutoencoderModule
        Autoencoders of one layout. Their codes are concatenated, and the parameters of their
        likelihoods are averaged (for probabilities, the logits).

    References
    ----------
    .. [1] Hansen and Salamon (1990), Neural Network Ensembles.
    """

    def __init__(self, members: Sequence[AutoencoderModule]) -> None:
        sizes = [member.latent.n_components for member in members]
        first = members[0].likelihood
        learnt = [member.likelihood.raw_log_scale for member in members]
        likelihood = Likelihood(
            first.layout, _mean([member.likelihood.offset for member in members]),
            learnt[0] is not None, first.min_scale, first.own,
        )  # fmt: skip
        center = _mean([member.center for member in members])
        super().__init__(
            nn.Identity(), Deterministic(sum(sizes)), nn.Identity(), likelihood, center
        )
        if likelihood.raw_log_scale is not None:
            scales = [scale.detach() for scale in learnt if scale is not None]
            likelihood.raw_log_scale.data = _mean(scales)
        self.members = nn.ModuleList(members)
        self.sizes = sizes
        # Each member reconstructs rows from its own code, so the PCA baseline has that size.
        self.latent.n_active = members[0].latent.n_active

    @property
    def encoders(self) -> list[nn.Module]:
        """The encoders of the members."""
        return [encoder for member in self._members for encoder in member.encoders]

    def hidden(self, cells: Cells) -> Tensor:
        """Return the codes of the members, shape (batch, n_components)."""
        return self.encode(cells).value

    def encode(self, cells: Cells) -> Code:
        """Return the concatenated codes of the members."""
        codes: list[Code] = [member.encode(cells) for member in self._members]
        value, sample = (torch.cat([code[part] for code in codes], 1) for part in (0, 1))
        return Code(value, sample, total_of(code.penalty for code in codes))

    def draw_code(self, cells: Cells) -> Tensor:
        """Return a code for each row, drawn from the posterior of each member."""
        return torch.cat([member.draw_code(cells) for member in self._members], 1)

    def decode(self, sample: Tensor) -> Tensor:
        """Return the mean of the members' parameters, shape (batch, width)."""
        return _mean(self._decoded(sample))

    def deviations(self, cells: Cells) -> Tensor:
        """Return the standard deviation of the reconstructions over the members.

        Parameters
        ----------
        cells : Cells
            Rows to reconstruct.

        Returns
        -------
        Tensor of shape (batch, n_columns)
            In standard deviations of the column. For a column of several elements, the square root
            of the sum of their variances.
        """
        each = [self.likelihood.mean(part) for part in self._decoded(self.encode(cells).sample)]
        mean = _mean(each)
        variances = _mean([(part - mean).square() for part in each])
        return self.likelihood.by_column(variances).sqrt()

    def _decoded(self, sample: Tensor) -> list[Tensor]:
        parts = torch.split(sample, self.sizes, 1)
        return [member.decode(part) for member, part in zip(self._members, parts, strict=True)]

    @property
    def _members(self) -> list[AutoencoderModule]:
        return list(self.members)  # type: ignore[arg-type]  # a ModuleList has no element type


def _mean(tensors: Sequence[Tensor]) -> Tensor:
    return total_of(tensors) / len(tensors)
