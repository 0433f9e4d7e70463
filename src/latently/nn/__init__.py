"""The torch mathematics: networks, latents, corruptions and likelihoods, without files or tables.

The files of this folder are the core that every autoencoder shares. The folders ``variants``,
``images``, ``memory``, ``masked`` and ``map`` hold the parts of one kind of model each. They import
from the core only, never from each other.
"""

from latently.nn._batch_shard import BatchShard, as_shard
from latently.nn._blocks import ROW_BLOCK, FixedProducts
from latently.nn._check_tensors import are_weights_in_range, check_tensors, is_known
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
from latently.nn._denormals import flushing_denormals
from latently.nn._kinds import ColumnLikelihood, Noise
from latently.nn._latents import (
    Code,
    Deterministic,
    Gaussian,
    Latent,
    Ordered,
    PointLatent,
    checked_latent,
)
from latently.nn._layers import Sum as PathSum
from latently.nn._layers import foreign_norms, hidden_layers, outlined
from latently.nn._likelihoods import Likelihood, mean_offset, spread
from latently.nn._module import AutoencoderModule, Cells, RowLoss, Rows
from latently.nn._networks import CustomNetwork, DenseNetwork, Network
from latently.nn._settings import OwnSettings, own_settings, with_own_settings
from latently.nn.images import ConvNetwork, UNetModule
from latently.nn.map import MapModule
from latently.nn.masked import (
    ConditionalGaussian,
    ForestSize,
    MaskedModule,
    Relation,
    Relations,
    RelationsSize,
    Units,
    category_probabilities,
    prediction_error,
)
from latently.nn.memory import (
    Memory,
    MemoryEnsembleModule,
    MemoryModule,
    SingleColumnModule,
    StoredRows,
)
from latently.nn.variants import (
    KL,
    L1,
    LATENTS,
    BatchTopK,
    DictionaryNetwork,
    EnsembleModule,
    JumpReLU,
    SparseLatent,
    SparseModule,
    TopK,
    VariationalModule,
    VectorQuantization,
)

__all__ = [
    "ROW_BLOCK",
    "FixedProducts",
    "AutoencoderModule",
    "BatchTopK",
    "Blocks",
    "Blur",
    "Cells",
    "are_weights_in_range",
    "check_tensors",
    "checked_latent",
    "ColumnLikelihood",
    "MemoryEnsembleModule",
    "is_known",
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
    "BatchShard",
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
    "Noise",
    "PathSum",
    "PointLatent",
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
    "VectorQuantization",
    "as_shard",
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
    "Relation",
    "Relations",
    "RelationsSize",
    "Units",
    "category_probabilities",
]
