"""The ``save`` method of estimators and tasks."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import sklearn
import torch

from latently._codec import Arrays, to_plain
from latently._renamed import Renames
from latently._validation import check_fitted
from latently.io._model_file import write_model
from latently.nn import OwnSettings


class SaveMixin(Renames, OwnSettings):
    """Add ``save`` to an estimator.

    The estimator has ``__latently_state__()``, which returns its fitted attributes, and
    ``__latently_restore__(state)``, which checks its parameters and sets the attributes of a file.
    ``state`` is None for an estimator that was saved unfitted, inside another one.
    """

    renamed_attributes: ClassVar[Mapping[str, str]] = {"report": "latently.make_report(model, X)"}

    def save(self, path: str | Path, *, overwrite: bool = True) -> None:
        """Write the fitted model to one safetensors file, atomically and without pickle.

        The parameters ``engine`` and ``verbose`` are not saved, because they describe this process
        and not the model.

        Parameters
        ----------
        path : str or Path
            Path of the file, which usually ends in ``.safetensors``. ``latently.load`` reads it.
        overwrite : bool, default=True
            If False, raise an error where the file exists.

        Raises
        ------
        NotFittedError
            If ``fit`` was not called.
        OutputExistsError
            If the file exists and ``overwrite`` is False.
        """
        check_fitted(self)
        arrays: Arrays = {}
        config: dict[str, Any] = to_plain(self, arrays)
        write_model(path, config, arrays, created_with=versions(), overwrite=overwrite)


def versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that a model is fitted with."""
    return {
        "latently": metadata.version("latently"),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "scikit-learn": sklearn.__version__,
        "numpy": np.__version__,
    }
