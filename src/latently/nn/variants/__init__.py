"""The modules of autoencoders that differ by their latent: variational, sparse, and ensembles.

These modules import from the core files of ``latently.nn`` only. A subclass of
``AutoencoderModule`` that needs its own loss or training schedule belongs here.
"""

from latently.nn.variants._ensemble import EnsembleModule
from latently.nn.variants._quantized import VectorQuantization
from latently.nn.variants._sparse import (
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
from latently.nn.variants._variational import VariationalModule

__all__ = [
    "KL",
    "L1",
    "LATENTS",
    "BatchTopK",
    "DictionaryNetwork",
    "EnsembleModule",
    "JumpReLU",
    "SparseLatent",
    "SparseModule",
    "TopK",
    "VariationalModule",
    "VectorQuantization",
]
