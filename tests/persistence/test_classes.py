"""The closed list: everything public that can be part of a model, and nothing else."""

import inspect

import pytest

import latently
from latently import (
    AutoencoderSearchCV,
    BatchJob,
    BatchPredictor,
    LocalEngine,
    RayEngine,
    TableDataset,
    TorchrunEngine,
)
from latently.persistence import CLASSES
from latently.preprocessing import ImagePreprocessor, TablePreprocessor


def public_classes():
    named = [getattr(latently, name) for name in latently.__all__]
    # A search is no model: its best model is saved. A dataset is rows, a job work on them, and
    # where to compute is not part of a model.
    engines = (LocalEngine, RayEngine, TorchrunEngine)
    others = (AutoencoderSearchCV, TableDataset, BatchJob, BatchPredictor, *engines)
    return [item for item in named if inspect.isclass(item) and item not in others]


@pytest.mark.parametrize("cls", public_classes(), ids=lambda cls: cls.__name__)
def test_every_public_class_can_be_loaded(cls):
    assert CLASSES[cls.__name__] is cls


@pytest.mark.parametrize("cls", [TablePreprocessor, ImagePreprocessor])
def test_preprocessors_can_be_loaded(cls):
    assert CLASSES[cls.__name__] is cls


def test_every_class_of_the_list_is_latentlys_own_and_under_its_own_name():
    for name, cls in CLASSES.items():
        assert cls.__name__ == name
        assert cls.__module__.startswith("latently.")
