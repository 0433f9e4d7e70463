"""Training: a single loop, engines that determine where it runs, and callbacks.

The files of this folder are the loop and its records. ``recorded`` holds the recording of steps as
graphs, and ``distributed`` the training in several processes. The files of this folder are for
parts that every training needs.
"""

from latently.training._callbacks import Callback, ProgressBar, using_callback
from latently.training._checkpoint import (
    TrainingIdentity,
    checkpointing,
    current_folder,
    digest,
    holds_checkpoint,
    refuse_existing,
    remove_checkpoint,
)
from latently.training._data import TrainingData, n_batches
from latently.training._engine import ENGINE_METHODS, Engine, LocalEngine, TrainingEngine
from latently.training._group import can_group, train_group
from latently.training._history import History, Record, StopReason
from latently.training._loop import Trained, train
from latently.training._resolve import resolve_engine
from latently.training._run import TrainingOptions, Weights
from latently.training._stream import StreamedData, TrainingRows
from latently.training._threads import check_threads, has_lost_cuda
from latently.training.distributed._ray import RayEngine, error_of_workers, import_ray
from latently.training.distributed._torchrun import TorchrunEngine
from latently.training.distributed._workers import Workers, differing
from latently.training.recorded import CannotRecord

__all__ = [
    "ENGINE_METHODS",
    "TrainingIdentity",
    "Callback",
    "CannotRecord",
    "Engine",
    "History",
    "StopReason",
    "LocalEngine",
    "ProgressBar",
    "RayEngine",
    "Record",
    "StreamedData",
    "TorchrunEngine",
    "Trained",
    "TrainingData",
    "TrainingEngine",
    "TrainingOptions",
    "TrainingRows",
    "Weights",
    "Workers",
    "can_group",
    "check_threads",
    "checkpointing",
    "current_folder",
    "differing",
    "digest",
    "error_of_workers",
    "has_lost_cuda",
    "holds_checkpoint",
    "import_ray",
    "using_callback",
    "n_batches",
    "refuse_existing",
    "remove_checkpoint",
    "resolve_engine",
    "train",
    "train_group",
]
