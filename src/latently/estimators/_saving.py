"""``save``: what every estimator and task writes down of itself."""

from __future__ import annotations

import platform
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import sklearn
import torch

from latently._codec import Arrays, to_plain
from latently._validation import check_fitted
from latently.estimators._reporting import ReportMixin
from latently.io._model_file import write_model


class SaveMixin(ReportMixin):
    """Adds ``save`` and ``report`` to an estimator that knows its own fitted state."""

    def save(self, path: str | Path, *, overwrite: bool = True) -> None:
        """Write the fitted model to one safetensors file, atomically, without pickle.

        The parameters ``engine`` and ``verbose`` are left out: they are of this process.

        Parameters
        ----------
        path : str or Path
            The file; ``.safetensors`` is the usual ending. Read it back with ``latently.load``.
        overwrite : bool, default=True
            False refuses to replace a file.

        Raises
        ------
        NotFittedError
            If ``fit`` was not called.
        OutputExistsError
            If the file exists and may not be replaced.
        """
        check_fitted(self)
        arrays: Arrays = {}
        config: dict[str, Any] = to_plain(self, arrays)
        write_model(path, config, arrays, created_with=versions(), overwrite=overwrite)


def versions() -> dict[str, str]:
    """Return the versions that a model was made with."""
    return {
        "latently": metadata.version("latently"),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "scikit-learn": sklearn.__version__,
        "numpy": np.__version__,
    }
