"""The autoencoder whose code is a map: its module, and the optimisation of map coordinates.

These modules import from the core files of ``latently.nn`` only. Neighbour graphs and embeddings
of rows by their neighbours belong here.
"""

from latently.nn.map._module import ROUNDING, MapModule, Places
from latently.nn.map._neighbors import EMBEDDING_RATE, EMBEDDING_STEPS, N_START

__all__ = ["EMBEDDING_RATE", "EMBEDDING_STEPS", "N_START", "ROUNDING", "MapModule", "Places"]
