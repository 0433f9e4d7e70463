"""The autoencoder whose code is a map: an encoder of neighbours, a decoder of places."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from latently.nn._latents import Code, Latent
from latently.nn._likelihoods import Likelihood
from latently.nn._module import AutoencoderModule, Cells, RowLoss
from latently.nn.map._neighbors import draw_map, nearest, settle

#: Directions of most variance along which neighbours are looked for.
_N_AXES = 50
#: Places that a new row is kept apart from, spread evenly over the rows of the map.
_N_OTHERS = 4_000
#: A squared distance below this share of that of the origin is rounding: it is the row itself.
_ROUNDING = 1e-9
#: Spread of made-up places around those of the map, in standard deviations of the map.
_JITTER = 0.02


class Places(Latent):
    """The code of a row is its place on the map; a made-up one lies beside that of a row."""

    all_used: ClassVar[bool] = True
    places: Tensor
    unit: Tensor

    def __init__(self, n_components: int, n_landmarks: int) -> None:
        super().__init__(n_components)
        self.register_buffer("places", torch.zeros(n_landmarks, n_components))
        self.register_buffer("unit", torch.ones(()))

    def keep(self, places: Tensor) -> None:
        """Take over the places of the landmarks."""
        self.places = places
        self.unit = places.std(correction=0).clamp(min=1e-12)

    def forward(self, hidden: Tensor) -> Code:
        return Code(hidden, hidden, hidden.new_zeros(len(hidden)))

    def draw(self, n_samples: int) -> Tensor:
        chosen = self.places[torch.randint(len(self.places), (n_samples,))]
        return chosen + _JITTER * self.unit * torch.randn_like(chosen)


class MapModule(AutoencoderModule):
    """A map of landmark rows, on which other rows find their place, and a decoder of places.

    Training is shown places in the stead of rows (``place``), and teaches the decoder.

    Parameters
    ----------
    decoder : Module
        (batch, n_components) -> as many numbers a row as an encoded row has.
    likelihood : Likelihood
        The error of each cell.
    center : Tensor of shape (width,)
        Mean of the encoded rows; a missing cell reads as the mean.
    n_components : int
        Axes of the map.
    n_neighbors : int
        Neighbours that hold a row in its place.
    n_landmarks : int, default=0
        Rows of a map that is about to be loaded.
    n_axes : int, default=0
        Directions along which its neighbours are looked for.
    """

    basis: Tensor
    keys: Tensor
    latent: Places

    def __init__(
        self,
        decoder: nn.Module,
        likelihood: Likelihood,
        center: Tensor,
        n_components: int,
        n_neighbors: int,
        n_landmarks: int = 0,
        n_axes: int = 0,
    ) -> None:
        latent = Places(n_components, n_landmarks)
        super().__init__(nn.Identity(), latent, decoder, likelihood, center)
        self.n_neighbors = n_neighbors
        self.register_buffer("basis", torch.zeros(len(center), n_axes))
        self.register_buffer("keys", torch.zeros(n_landmarks, n_axes))

    def draw(self, cells: Cells, components: Tensor) -> None:
        """Draw the map of some landmarks.

        Parameters
        ----------
        cells : Cells
            The landmarks.
        components : Tensor of shape (n, width)
            Principal components of the rows, the largest variance first.
        """
        self.basis = components[:_N_AXES].T.contiguous()
        self.keys = self.centered(cells) @ self.basis
        self.latent.keep(draw_map(self.keys, self.latent.n_components, self.n_neighbors))

    def hidden(self, cells: Cells) -> Tensor:
        """Return the place of each row: a landmark's own, or one among its neighbours."""
        rows = self.centered(cells) @ self.basis
        landmarks = self.latent.places
        near = nearest(rows, self.keys, min(self.n_neighbors, len(self.keys)))
        places = landmarks[near[:, 0]]
        beside = (rows - self.keys[near[:, 0]]).square().sum(1)
        strange = beside > _ROUNDING * (1 + rows.square().sum(1))
        if strange.any():
            spaced = torch.linspace(0, len(landmarks) - 1, min(len(landmarks), _N_OTHERS)).long()
            places[strange] = settle(landmarks[near[strange]], landmarks[spaced])
        return places

    def place(self, cells: Cells) -> Cells:
        """Return places as what training is shown in the stead of rows."""
        with torch.no_grad():
            return Cells(self.hidden(cells))

    def decode(self, sample: Tensor) -> Tensor:
        """Return the likelihood's parameters for each place, shape (batch, width)."""
        return super().decode(sample / self.latent.unit)

    def forward(self, inputs: Cells, target: Cells) -> RowLoss:
        """Return each row's loss, for what is to be rebuilt from places."""
        parameters = self.decode(inputs.values)
        losses = self.likelihood(parameters, target.values.flatten(1), target.observed)
        return RowLoss(losses.sum(1), losses.new_zeros(len(losses)))
