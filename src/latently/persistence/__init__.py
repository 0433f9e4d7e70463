"""Loading of model files, and batch scoring with them.

A model file is one safetensors file with a JSON configuration, never pickle. Modules here import
estimators, tasks and all below. Code that needs a saved model as a file belongs here.
"""

from latently.persistence._batch_job import BatchJob, BatchReport
from latently.persistence._load import CLASSES, load
from latently.persistence._predictor import BatchPredictor

__all__ = ["CLASSES", "BatchJob", "BatchPredictor", "BatchReport", "load"]
