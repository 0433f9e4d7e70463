"""The errors and warnings of latently.

Every message names the fault, the value and the remedy::

    LatentlyError
    ├── ParameterError      a parameter has a wrong value              (ValueError)
    ├── DataError           a table, image or file cannot be used      (ValueError)
    ├── ModelFileError      a model file was refused; see ``.reason``  (ValueError)
    ├── NotFittedError      the estimator was not fitted yet           (sklearn's NotFittedError)
    ├── DivergenceError     training diverged three times              (ArithmeticError)
    ├── ResourceError       memory, disk or time ran out               (RuntimeError)
    ├── WorkerError         another process of a training was lost     (RuntimeError)
    ├── OutputExistsError   an output would have been overwritten      (FileExistsError)
    └── MissingExtraError   an optional package is not installed       (ImportError)

    LatentlyWarning                                                    (UserWarning)
    ├── DataWarning         data were used with changes
    │   └── DriftWarning    anomaly scores are higher than in calibration
    └── TrainingWarning     training did not run as requested      (sklearn's ConvergenceWarning)
"""

from sklearn.exceptions import ConvergenceWarning as _ConvergenceWarning
from sklearn.exceptions import NotFittedError as _NotFittedError

__all__ = [
    "LatentlyError",
    "ParameterError",
    "DataError",
    "ModelFileError",
    "NotFittedError",
    "DivergenceError",
    "ResourceError",
    "WorkerError",
    "OutputExistsError",
    "MissingExtraError",
    "LatentlyWarning",
    "DataWarning",
    "DriftWarning",
    "TrainingWarning",
]


class LatentlyError(Exception):
    """Base class of the errors that latently raises."""


class ParameterError(LatentlyError, ValueError):
    """A parameter has a value that cannot be used."""


class DataError(LatentlyError, ValueError):
    """A table, an image or a file cannot be used as it is."""


class ModelFileError(LatentlyError, ValueError):
    """A model file was refused.

    Parameters
    ----------
    message : str
        The file, the fault and the remedy.
    reason : str
        A short code of the cause for programs, for example ``"truncated"``.

    Attributes
    ----------
    reason : str
        The code of the cause.
    """

    def __init__(self, message: str, reason: str) -> None:
        super().__init__(message)
        self.reason = reason

    def __reduce__(self) -> tuple[type["ModelFileError"], tuple[str, str]]:
        return type(self), (str(self), self.reason)


class NotFittedError(LatentlyError, _NotFittedError):  # type: ignore[misc]  # sklearn is untyped
    """A method of an estimator was called before ``fit``."""


class DivergenceError(LatentlyError, ArithmeticError):
    """Training gave NaN or an exploding loss after three successive roll-backs."""


class ResourceError(LatentlyError, RuntimeError):
    """Memory, disk space or time ran out."""


class WorkerError(LatentlyError, RuntimeError):
    """Another process of a distributed training or scoring was lost or does not respond."""


class OutputExistsError(LatentlyError, FileExistsError):
    """An output exists and overwriting was not requested."""


class MissingExtraError(LatentlyError, ImportError):
    """An optional package is not installed. The message holds the install command."""


class LatentlyWarning(UserWarning):
    """Base class of the warnings that latently issues."""


class DataWarning(LatentlyWarning):
    """Data were used with changes. The message counts the cells or rows."""


class DriftWarning(DataWarning):
    """Anomaly scores are higher than in calibration, so that more false alarms may follow."""


class TrainingWarning(LatentlyWarning, _ConvergenceWarning):  # type: ignore[misc]  # sklearn is untyped
    """Training did not run as requested."""
