"""Stored rows as models: views of rows, the kernel memory, stored rows and their ensemble.

These modules import from the core files of ``latently.nn`` only. Whatever needs a store of rows,
distances to them or a new view of them belongs here.
"""

from latently.nn.memory._ensemble import GROUP, MemoryEnsembleModule, tail_rows
from latently.nn.memory._kernel import SHARPNESS, Memory
from latently.nn.memory._one_row import OneRowMemory
from latently.nn.memory._single_column import SingleColumnModule
from latently.nn.memory._stored_rows import EQUAL_WITHIN, OFFSET, MemoryModule, StoredRows
from latently.nn.memory._views import EQUAL, Arcsinh, Ranks, Smooth, View

__all__ = [
    "EQUAL",
    "EQUAL_WITHIN",
    "GROUP",
    "OFFSET",
    "SHARPNESS",
    "Arcsinh",
    "MemoryEnsembleModule",
    "Memory",
    "MemoryModule",
    "OneRowMemory",
    "Ranks",
    "SingleColumnModule",
    "Smooth",
    "StoredRows",
    "View",
    "tail_rows",
]
