"""The autoencoder whose code is a map: neighbours give the coordinates, a network decodes them."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from latently.nn._latents import Code, Latent
from latently.nn._likelihoods import Likelihood
from latently.nn._module import AutoencoderModule, Cells, RowLoss
from latently.nn.map._neighbors import embed_rows, fit_map, nearest

#: Number of principal components in which neighbours are searched.
_N_AXES = 50
#: Number of landmarks that repel a new row, evenly spaced in their order.
_N_OTHERS = 4_000
#: A row at a smaller squared distance from a landmark, relative to its squared norm, equals it.
ROUNDING = 1e-9
#: Standard deviation of the noise of drawn coordinates, in standard deviations of the map.
_JITTER = 0.02


class Places(Latent):
    """The code of a row is its coordinates on the map.

    A drawn code is the coordinates of a random landmark with a little noise.
    """

    all_used: ClassVar[bool] = True
    places: Tensor
    unit: Tensor

    def __init__(self, n_components: int, n_landmarks: int) -> None:
        super().__init__(n_components)
        self.register_buffer("places", torch.zeros(n_landmarks, n_components))
        self.register_buffer("unit", torch.ones(()))

    def keep(self, places: Tensor) -> None:
        """Store the coordinates of the landmarks and their standard deviation."""
        self.places = places
        self.unit = places.std(correction=0).clamp(min=1e-12)

    def forward(self, hidden: Tensor) -> Code:
        return Code(hidden, hidden, hidden.new_zeros(len(hidden)))

    def draw(self, n_samples: int) -> Tensor:
        chosen = self.places[torch.randint(len(self.places), (n_samples,))]
        return chosen + _JITTER * self.unit * torch.randn_like(chosen)


class MapModule(AutoencoderModule):
    """A map of landmark rows, on which new rows are embedded, and a decoder of its coordinates.

    Training updates the decoder only. ``training_inputs`` returns coordinates in place of rows.

    Parameters
    ----------
    decoder : Module
        (batch, n_components) -> as many numbers per row as an encoded row has.
    likelihood : Likelihood
        The loss of each cell.
    center : Tensor of shape (width,)
        Mean of the encoded rows, which replaces missing cells.
    n_components : int
        Number of coordinates.
    n_neighbors : int
        Number of neighbours that attract a row.
    n_landmarks : int, default=0
        Number of landmarks, if the map is read from a file.
    n_axes : int, default=0
        Number of principal components for the neighbour search, if the map is read from a file.
    max_landmarks : int, default=20_000
        Maximum number of landmarks that ``begin_fit`` draws.
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
        max_landmarks: int = 20_000,
    ) -> None:
        latent = Places(n_components, n_landmarks)
        super().__init__(nn.Identity(), latent, decoder, likelihood, center)
        self.n_neighbors = n_neighbors
        self.max_landmarks = max_landmarks
        self.register_buffer("basis", torch.zeros(len(center), n_axes))
        self.register_buffer("keys", torch.zeros(n_landmarks, n_axes))

    def begin_fit(self, cells: Cells, components: Tensor, mean_square: float) -> None:
        """Draw the landmarks from the rows, and optimise their map in the first 50 components."""
        landmarks = torch.randperm(len(cells.values))[: self.max_landmarks].sort().values
        self.basis = components[:_N_AXES].T.contiguous()
        self.keys = self.centered(cells.take(landmarks)) @ self.basis
        self.latent.keep(fit_map(self.keys, self.latent.n_components, self.n_neighbors))

    def hidden(self, cells: Cells) -> Tensor:
        """Return the coordinates of each row, shape (batch, n_components).

        A row that equals a landmark has its coordinates. Other rows are embedded.
        """
        rows = self.centered(cells) @ self.basis
        landmarks = self.latent.places
        near = nearest(rows, self.keys, min(self.n_neighbors, len(self.keys)))
        places = landmarks[near[:, 0]]
        distance = (rows - self.keys[near[:, 0]]).square().sum(1)
        is_new = distance > ROUNDING * (1 + rows.square().sum(1))
        if is_new.any():
            places[is_new] = embed_rows(landmarks[near[is_new]], self.others)
        return places

    @property
    def others(self) -> Tensor:
        """Coordinates of the landmarks that repel a new row, (n_others, n_components)."""
        landmarks = self.latent.places
        spaced = torch.linspace(0, len(landmarks) - 1, min(len(landmarks), _N_OTHERS)).long()
        return landmarks[spaced]

    def training_inputs(self, cells: Cells) -> Cells:
        """Return the coordinates of rows."""
        with torch.no_grad():
            return Cells(self.hidden(cells))

    def decode(self, sample: Tensor) -> Tensor:
        """Return the likelihood's parameters at given coordinates, shape (batch, width)."""
        return super().decode(sample / self.latent.unit)

    def forward(self, inputs: Cells, target: Cells) -> RowLoss:
        """Return the loss of each row for reconstructing ``target`` from coordinates."""
        parameters = self.decode(inputs.values)
        losses = self.likelihood(parameters, target.values.flatten(1), target.observed)
        return RowLoss(losses.sum(1), losses.new_zeros(len(losses)))
