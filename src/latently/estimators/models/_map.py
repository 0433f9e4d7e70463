"""``MapAutoencoder``, a parametric neighbour embedding with a decoder."""

from __future__ import annotations

from dataclasses import dataclass, replace
from numbers import Integral
from typing import Any, ClassVar

from torch import Tensor

from latently._sklearn import Interval
from latently.estimators._trained import TrainedAutoencoder
from latently.estimators.fit._baselines import Spectrum
from latently.estimators.fit._effort import scaled
from latently.estimators.fit._prepare import training_options
from latently.estimators.models._common_docs import document
from latently.exceptions import ParameterError
from latently.nn import AutoencoderModule, MapModule
from latently.training import TrainingOptions

#: Maximum number of "auto" steps: more do not improve a decoder with two inputs.
_MAX_STEPS = 3_000


@document
@dataclass(kw_only=True, eq=False, repr=False)
class MapAutoencoder(TrainedAutoencoder):
    """Map of the rows in few dimensions that preserves neighbours, with a decoder.

    The map is fitted in three steps:

    1. At most ``n_landmarks`` rows, the landmarks, get positions in which neighbours attract and
       all others repel each other, as in t-SNE and UMAP [2]_, [3]_.
    2. All other rows, unseen ones included, are placed among their nearest landmarks without
       further training. A landmark keeps its own position.
    3. A decoder is trained from positions to rows, so that any point of the map can be decoded.

    The landmarks are part of the model and of its file, projected onto the 50 directions of
    largest variance.

    Parameters
    ----------
    n_components : int or "auto", default="auto"
        Number of dimensions of the map. "auto" takes two.
    {common}
    n_neighbors : int, default=15
        Number of neighbours that attract each row. A larger number shows the global structure, a
        smaller one local detail.
    n_landmarks : int, default=20_000
        Maximum number of landmarks, which are drawn at random. More landmarks follow the data
        closer. The time of the layout grows linearly with them, the time of the neighbour search
        quadratically.

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
    _searched: ClassVar[dict[str, Any]] = {"n_neighbors": (5, 50, "log")}

    def _check_parameters(self) -> None:
        super()._check_parameters()
        if self.corruption is not None:
            raise ParameterError(
                f"corruption must be None for a MapAutoencoder, got {self.corruption!r:.60}. Its "
                "decoder is trained on positions, not on rows. Leave corruption=None."
            )

    def _default_n_components(self, spectrum: Spectrum) -> int:
        return 2 if self.n_components == "auto" else int(self.n_components)

    def _build_module(self, mean: Tensor) -> AutoencoderModule:
        plain = super()._build_module(mean)
        return MapModule(
            plain.decoder,
            plain.likelihood,
            mean,
            self.n_components_,
            int(self.n_neighbors),
            max_landmarks=int(self.n_landmarks),
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
