"""The list of estimators of all contract tests. A new estimator adds one line."""

from functools import partial

from sklearn.utils import get_tags

from latently import (
    AnomalyDetector,
    Autoencoder,
    AutoencoderDenoiser,
    AutoencoderImputer,
    AutoencoderSearchCV,
    ConvolutionalAutoencoder,
    DenoisingAutoencoder,
    EnsembleAutoencoder,
    FeatureExtractor,
    GaussianNoise,
    ImputationAutoencoder,
    LatentSampler,
    MapAutoencoder,
    NeighborAutoencoder,
    SparseAutoencoder,
    TableSampler,
    UNetAutoencoder,
    VariationalAutoencoder,
    load,
)
from latently.nn import VectorQuantization
from tests.contract import own

_QUICK = {"max_epochs": 2, "random_state": 0, "engine": "cpu"}

#: The contract includes parts of the user's own.
load_own = partial(load, classes=own.CLASSES)

AUTOENCODERS = [
    Autoencoder(2, **_QUICK),
    Autoencoder(2, latent=VectorQuantization(16), **_QUICK),
    Autoencoder(2, latent=own.Rounded, likelihood=own.StudentT(), **_QUICK),
    VariationalAutoencoder(2, **_QUICK),
    SparseAutoencoder(8, n_active=2, **_QUICK),
    SparseAutoencoder(8, sparsity="l1", **_QUICK),
    DenoisingAutoencoder(2, **_QUICK),
    MapAutoencoder(2, **_QUICK),
    VariationalAutoencoder(2, corruption=GaussianNoise(), beta=4.0, **_QUICK),
]
MEMORIES = [
    NeighborAutoencoder(random_state=0, engine="cpu"),
    NeighborAutoencoder(robust=True, random_state=0, engine="cpu"),
]
ENSEMBLES = [EnsembleAutoencoder(Autoencoder(2, **_QUICK), n_estimators=5, random_state=0)]
MASKED = [ImputationAutoencoder(8, n_networks=2, n_trees=4, batch_size=32, **_QUICK)]
IMAGE_AUTOENCODERS = [
    ConvolutionalAutoencoder(2, **_QUICK),
    UNetAutoencoder(channels=(4, 8), **_QUICK),
]
TASKS = [
    AnomalyDetector(random_state=0),
    AnomalyDetector(autoencoder=Autoencoder(2, **_QUICK), random_state=0),
    AutoencoderImputer(autoencoder=DenoisingAutoencoder(2, **_QUICK), random_state=0),
    AutoencoderImputer(autoencoder=MASKED[0], add_indicator=True, random_state=0),
    AutoencoderDenoiser(autoencoder=Autoencoder(2, **_QUICK), random_state=0),
    LatentSampler(autoencoder=VariationalAutoencoder(2, **_QUICK), random_state=0),
    FeatureExtractor(autoencoder=Autoencoder(2, **_QUICK), include_error=True, random_state=0),
]
#: Samplers without an autoencoder.
SAMPLERS = [TableSampler(n_trees=2, random_state=0)]
#: Not saved itself: the best model is.
SEARCH = AutoencoderSearchCV(
    Autoencoder(1, **_QUICK), {"learning_rate": (1e-3, 1e-2)}, n_trials=1, random_state=0
)
ESTIMATORS = [*AUTOENCODERS, *MEMORIES, *ENSEMBLES, *MASKED, *TASKS, *SAMPLERS]
OF_IMAGES = [model for model in ESTIMATORS if get_tags(model).input_tags.three_d_array]
