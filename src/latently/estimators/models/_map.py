"""The autoencoder that draws maps."""

from __future__ import annotations

from dataclasses import dataclass, replace
from numbers import Integral
from typing import Any, ClassVar, cast

import torch
from torch import Tensor

from latently._sklearn import Interval
from latently.estimators._trained import TrainedAutoencoder
from latently.estimators.fit._baselines import Spectrum
from latently.estimators.fit._effort import scaled
from latently.estimators.fit._prepare import training_options
from latently.estimators.models._common_docs import document
from latently.exceptions import ParameterError
from latently.nn import AutoencoderModule, Cells, MapModule
from latently.training import TrainingData, TrainingOptions

#: A decoder of two numbers has learnt what it can by then.
_MAX_STEPS = 3_000


@document
@dataclass(kw_only=True, eq=False, repr=False)
class MapAutoencoder(TrainedAutoencoder):
    """The autoencoder that draws maps: neighbours stay neighbours, and every place decodes.

    Rows, at most ``n_landmarks`` of them, find places where each lies beside those that it is
    like and apart from all others, as t-SNE and UMAP have it [2]_, [3]_. Other rows, new ones too,
    take their place among their nearest landmarks at once, and a landmark has its own. A decoder is
    trained from places to rows, so that any point of the plane can be looked at.

    The landmarks are part of the model and of its file, along the 50 directions of most variance.

    Parameters
    ----------
    n_components : int or "auto", default="auto"
        Axes of the map; "auto" takes two.
    {common}
    n_neighbors : int, default=15
        Neighbours that hold a row in its place. More shows the large shape, fewer the fine grain.
    n_landmarks : int, default=20_000
        Rows, drawn at random, that the map is made of. More follows the data closer; drawing takes
        as much longer, and looking for neighbours grows with the square.

    Attributes
    ----------
    {attributes}

    References
    ----------
    {adamw}
    .. [2] van der Maaten and Hinton (2008), Visualizing Data using t-SNE.
    .. [3] Damrich, Böhm, Hamprecht and Kobak (2023), From t-SNE to UMAP with Contrastive Learning.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> X = load_iris().data
    >>> model = MapAutoencoder(max_epochs=5, random_state=0).fit(X)
    >>> model.transform(X).shape
    (150, 2)
    >>> model.inverse_transform([[0.0, 0.0]]).shape
    (1, 4)
    """

    validation_fraction: float = 0.0
    n_neighbors: int = 15
    n_landmarks: int = 20_000

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **TrainedAutoencoder._parameter_constraints,
        "n_neighbors": [Interval(Integral, 1, None, closed="left")],
        "n_landmarks": [Interval(Integral, 2, None, closed="left")],
    }

    def _check_parameters(self) -> None:
        super()._check_parameters()
        if self.corruption is not None:
            raise ParameterError(
                "corruption must be None for a MapAutoencoder: its decoder is shown places, not "
                "rows. Drop it."
            )

    def _default_n_components(self, spectrum: Spectrum) -> int:
        return 2 if self.n_components == "auto" else int(self.n_components)

    def _create_module(self, spectrum: Spectrum, cells: Cells) -> None:
        super()._create_module(spectrum, cells)
        landmarks = torch.randperm(len(cells.values))[: self.n_landmarks].sort().values
        cast(MapModule, self.module_).draw(cells.take(landmarks), spectrum.components)

    def _build_module(self, mean: Tensor) -> AutoencoderModule:
        plain = super()._build_module(mean)
        return MapModule(
            plain.decoder, plain.likelihood, mean, self.n_components_, int(self.n_neighbors)
        )

    def _empty_module(self, shapes: dict[str, tuple[int, ...]]) -> AutoencoderModule:
        plain = super()._empty_module(shapes)
        sizes = self.n_components_, int(self.n_neighbors), *shapes["keys"]
        return MapModule(plain.decoder, plain.likelihood, plain.center, *sizes)

    def _options(self, n_rows: int, seed: int) -> TrainingOptions:
        options = training_options(self, n_rows, seed)
        if self.max_epochs != "auto":
            return options
        return replace(options, n_steps=min(options.n_steps, scaled(_MAX_STEPS, self.effort)))

    def _training_view(self, rows: TrainingData) -> TrainingData:
        """Show places in the stead of rows."""
        target = rows.inputs if rows.target is None else rows.target
        return TrainingData(cast(MapModule, self.module_).place(rows.inputs), target, rows.weight)
