"""Model files: one safetensors file with a JSON configuration, never pickle."""

from latently.persistence._load import CLASSES, load

__all__ = ["CLASSES", "load"]
