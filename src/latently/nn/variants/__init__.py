"""The modules of autoencoders that differ by their latent: variational, sparse, and ensembles.

These modules import from the core files of ``latently.nn`` only. A subclass of
``AutoencoderModule`` that needs its own loss or training schedule belongs here.
"""

from latently.nn.variants._ensemble import EnsembleModule
from latently.nn.variants._quantized import QuantizedLatent, VectorQuantization
from latently.nn.variants._sparse import (
    KL,
    L1,
    LATENTS,
    LEAST_THRESHOLD,
    Atoms,
    BatchTopK,
    DictionaryNetwork,
    JumpReLU,
    Scaled,
    SparseLatent,
    SparseModule,
    TopK,
)
from latently.nn.variants._variational import VariationalModule

__all__ = [
    "KL",
    "L1",
    "LATENTS",
    "LEAST_THRESHOLD",
    "Atoms",
    "BatchTopK",
    "DictionaryNetwork",
    "EnsembleModule",
    "JumpReLU",
    "QuantizedLatent",
    "Scaled",
    "SparseLatent",
    "SparseModule",
    "TopK",
    "VariationalModule",
    "VectorQuantization",
]
