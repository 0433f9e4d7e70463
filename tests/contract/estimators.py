"""The one list that every contract test runs over: a new estimator adds one line."""

from latently import (
    AnomalyDetector,
    Autoencoder,
    AutoencoderDenoiser,
    AutoencoderImputer,
    ConvolutionalAutoencoder,
    DenoisingAutoencoder,
    FeatureExtractor,
    GaussianNoise,
    LatentSampler,
    MemoryAutoencoder,
    SparseAutoencoder,
    VariationalAutoencoder,
)

_QUICK = {"max_epochs": 2, "random_state": 0, "engine": "cpu"}

AUTOENCODERS = [
    Autoencoder(2, **_QUICK),
    VariationalAutoencoder(2, **_QUICK),
    SparseAutoencoder(8, n_active=2, **_QUICK),
    SparseAutoencoder(8, sparsity="l1", **_QUICK),
    DenoisingAutoencoder(2, **_QUICK),
    VariationalAutoencoder(2, corruption=GaussianNoise(), beta=4.0, **_QUICK),
]
MEMORIES = [
    MemoryAutoencoder(random_state=0, engine="cpu"),
    MemoryAutoencoder(robust=True, random_state=0, engine="cpu"),
]
IMAGE_AUTOENCODERS = [ConvolutionalAutoencoder(2, **_QUICK)]
TASKS = [
    AnomalyDetector(random_state=0),
    AnomalyDetector(autoencoder=Autoencoder(2, **_QUICK), random_state=0),
    AutoencoderImputer(autoencoder=DenoisingAutoencoder(2, **_QUICK), random_state=0),
    AutoencoderDenoiser(autoencoder=Autoencoder(2, **_QUICK), random_state=0),
    LatentSampler(autoencoder=VariationalAutoencoder(2, **_QUICK), random_state=0),
    FeatureExtractor(autoencoder=Autoencoder(2, **_QUICK), include_error=True, random_state=0),
]
ESTIMATORS = [*AUTOENCODERS, *MEMORIES, *TASKS]
