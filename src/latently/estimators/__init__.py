"""Autoencoders with the interface of scikit-learn: base classes here, named ones in ``models``.

``fit`` holds the steps of a fit. Everything here may import from ``training`` and the packages
below it. Other packages import from this file only.
"""

from latently.estimators._base import BaseAutoencoder
from latently.estimators._groups import fit_seeds, fit_sizes
from latently.estimators._inference import (
    Question,
    bounds_of,
    by_pieces,
    cell_surprise_of,
    code_of,
    draws_of,
    filled_of,
    surprise_by_view_of,
)
from latently.estimators._protocol import (
    AutoencoderTags,
    Fitted,
    SupportName,
    fitted_of,
    is_autoencoder,
    tags_of,
)
from latently.estimators._rotation import Rotation
from latently.estimators._saving import SaveMixin
from latently.estimators._seeding import seeded
from latently.estimators._sizes import REASONS, ComponentsCurve
from latently.estimators._trained import TrainedAutoencoder, with_default_network
from latently.estimators.fit._baselines import Baselines, Spectrum, fit_spectrum
from latently.estimators.fit._effort import EFFORT_CONSTRAINT, Effort, scaled
from latently.estimators.fit._split import split_rule, take_rows
from latently.estimators.fit._streaming import read_together
from latently.estimators.models._ensemble import EnsembleAutoencoder
from latently.estimators.models._map import MapAutoencoder
from latently.estimators.models._masked import ImputationAutoencoder
from latently.estimators.models._memory import NeighborAutoencoder
from latently.estimators.models._unet import UNetAutoencoder
from latently.estimators.models._variants import (
    Autoencoder,
    ConvolutionalAutoencoder,
    DenoisingAutoencoder,
    SparseAutoencoder,
    VariationalAutoencoder,
)

__all__ = [
    "Autoencoder",
    "AutoencoderTags",
    "BaseAutoencoder",
    "Baselines",
    "REASONS",
    "ComponentsCurve",
    "EFFORT_CONSTRAINT",
    "Effort",
    "scaled",
    "Spectrum",
    "fit_spectrum",
    "read_together",
    "split_rule",
    "Question",
    "ConvolutionalAutoencoder",
    "DenoisingAutoencoder",
    "EnsembleAutoencoder",
    "Fitted",
    "MapAutoencoder",
    "ImputationAutoencoder",
    "NeighborAutoencoder",
    "Rotation",
    "SaveMixin",
    "SparseAutoencoder",
    "SupportName",
    "TrainedAutoencoder",
    "UNetAutoencoder",
    "VariationalAutoencoder",
    "bounds_of",
    "cell_surprise_of",
    "surprise_by_view_of",
    "code_of",
    "draws_of",
    "filled_of",
    "fitted_of",
    "is_autoencoder",
    "tags_of",
    "with_default_network",
    "seeded",
    "by_pieces",
    "fit_seeds",
    "fit_sizes",
    "take_rows",
]
