"""Stored rows as models: views of rows, the kernel memory, stored rows and their ensemble.

These modules import from the core files of ``latently.nn`` only. Whatever needs a store of rows,
distances to them or a new view of them belongs here.
"""

from latently.nn.memory._ensemble import GROUP, MemoryEnsembleModule, tail_rows
from latently.nn.memory._kernel import Memory
from latently.nn.memory._single_column import SingleColumnModule
from latently.nn.memory._stored_rows import MemoryModule, StoredRows

__all__ = [
    "GROUP",
    "MemoryEnsembleModule",
    "Memory",
    "MemoryModule",
    "SingleColumnModule",
    "StoredRows",
    "tail_rows",
]
