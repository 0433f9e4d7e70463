"""The torch mathematics: networks, latents, corruptions, likelihoods; no file, no table."""

from latently.nn._blocks import ROW_BLOCK, FixedProducts
from latently.nn._columns import prediction_error
from latently.nn._conditional import ConditionalGaussian
from latently.nn._convolutional import ConvNetwork
from latently.nn._corruption import (
    Blocks,
    Blur,
    Corruption,
    Downsampling,
    GaussianNoise,
    Masking,
    SaltAndPepper,
    larger,
)
from latently.nn._crowd import CrowdModule
from latently.nn._denormals import flushing_denormals
from latently.nn._ensemble import EnsembleModule
from latently.nn._latents import Code, Deterministic, Gaussian, Latent, Ordered
from latently.nn._layers import foreign_norms, hidden_layers, outlined
from latently.nn._likelihoods import Likelihood, mean_offset, spread
from latently.nn._map import MapModule
from latently.nn._masked import ForestSize, MaskedModule
from latently.nn._memory import Memory
from latently.nn._module import AutoencoderModule, Cells, RowLoss
from latently.nn._networks import CustomNetwork, DenseNetwork, Network
from latently.nn._part import Part, as_part
from latently.nn._settings import OwnSettings, own_settings, with_own_settings
from latently.nn._single import SingleColumnModule
from latently.nn._sound import check_sound
from latently.nn._sparse import (
    KL,
    L1,
    LATENTS,
    BatchTopK,
    DictionaryNetwork,
    JumpReLU,
    SparseLatent,
    SparseModule,
    TopK,
)
from latently.nn._stored import MemoryModule, StoredRows
from latently.nn._unet import UNetModule
from latently.nn._variational import VariationalModule
from latently.nn._views import Rows

__all__ = [
    "ROW_BLOCK",
    "FixedProducts",
    "AutoencoderModule",
    "BatchTopK",
    "Blocks",
    "Blur",
    "Cells",
    "check_sound",
    "CrowdModule",
    "Code",
    "ConditionalGaussian",
    "ConvNetwork",
    "Corruption",
    "CustomNetwork",
    "DenseNetwork",
    "DictionaryNetwork",
    "Downsampling",
    "Deterministic",
    "EnsembleModule",
    "Ordered",
    "Part",
    "ForestSize",
    "Gaussian",
    "GaussianNoise",
    "JumpReLU",
    "KL",
    "L1",
    "LATENTS",
    "Latent",
    "Likelihood",
    "MapModule",
    "MaskedModule",
    "Masking",
    "Memory",
    "MemoryModule",
    "Network",
    "RowLoss",
    "Rows",
    "SaltAndPepper",
    "SingleColumnModule",
    "SparseLatent",
    "SparseModule",
    "StoredRows",
    "TopK",
    "UNetModule",
    "VariationalModule",
    "as_part",
    "flushing_denormals",
    "hidden_layers",
    "larger",
    "mean_offset",
    "foreign_norms",
    "OwnSettings",
    "own_settings",
    "with_own_settings",
    "outlined",
    "prediction_error",
    "spread",
]
