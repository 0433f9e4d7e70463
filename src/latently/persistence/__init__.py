"""Model files: one safetensors file with a JSON configuration, never pickle."""

from latently.persistence._batch_job import BatchJob, BatchReport
from latently.persistence._load import CLASSES, load
from latently.persistence._predictor import BatchPredictor

__all__ = ["CLASSES", "BatchJob", "BatchPredictor", "BatchReport", "load"]
