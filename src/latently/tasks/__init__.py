"""Uses of an autoencoder, each with scikit-learn's contract."""

from latently.tasks._anomaly import AnomalyDetector
from latently.tasks._base import AutoencoderTask
from latently.tasks._denoising import AutoencoderDenoiser
from latently.tasks._features import FeatureExtractor
from latently.tasks._generation import LatentSampler
from latently.tasks._imputation import AutoencoderImputer

__all__ = [
    "AnomalyDetector",
    "AutoencoderDenoiser",
    "AutoencoderImputer",
    "AutoencoderTask",
    "FeatureExtractor",
    "LatentSampler",
]
