"""Training steps recorded as graphs of operations and replayed without Python; see README.md.

Use ``record``, ``simplify``, ``write_outputs`` and ``script``, in this order. The files import
torch and each other only. Whatever depends on private names of torch belongs here.
"""

from latently.training.recorded._cuda_graph import CapturedScript
from latently.training.recorded._recording import CannotRecord, record, while_recording
from latently.training.recorded._script import Script, UnknownTorch, script
from latently.training.recorded._simplify import simplify, write_outputs

__all__ = [
    "CannotRecord",
    "CapturedScript",
    "Script",
    "UnknownTorch",
    "record",
    "script",
    "simplify",
    "while_recording",
    "write_outputs",
]
