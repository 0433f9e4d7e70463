"""The torch mathematics: networks, latents, corruptions, likelihoods; no file, no table."""

from latently.nn._columns import prediction_error
from latently.nn._corruption import Corruption, GaussianNoise, Masking, SaltAndPepper
from latently.nn._crowd import CrowdModule
from latently.nn._latents import L1, Code, Deterministic, Gaussian, Latent, TopK
from latently.nn._likelihoods import Likelihood, mean_offset, spread
from latently.nn._map import MapModule
from latently.nn._masked import ForestSize, MaskedModule
from latently.nn._memory import Memory
from latently.nn._module import AutoencoderModule, Cells, RowLoss
from latently.nn._networks import ConvNetwork, CustomNetwork, DenseNetwork, Network
from latently.nn._stored import MemoryModule, StoredRows

__all__ = [
    "AutoencoderModule",
    "Cells",
    "CrowdModule",
    "Code",
    "ConvNetwork",
    "Corruption",
    "CustomNetwork",
    "DenseNetwork",
    "Deterministic",
    "ForestSize",
    "Gaussian",
    "GaussianNoise",
    "L1",
    "Latent",
    "Likelihood",
    "MapModule",
    "MaskedModule",
    "Masking",
    "Memory",
    "MemoryModule",
    "Network",
    "RowLoss",
    "SaltAndPepper",
    "StoredRows",
    "TopK",
    "mean_offset",
    "prediction_error",
    "spread",
]
