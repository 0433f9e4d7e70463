"""The errors and warnings of latently.

Every message says what was wrong, what was got and what to do::

    LatentlyError
    ├── ParameterError      a parameter has a wrong value              (ValueError)
    ├── DataError           a table, image or file cannot be used      (ValueError)
    ├── ModelFileError      a model file was refused; see ``.reason``  (ValueError)
    ├── NotFittedError      the estimator was not fitted yet           (sklearn's NotFittedError)
    ├── DivergenceError     training ran away three times              (ArithmeticError)
    ├── ResourceError       memory, disk or time ran out               (RuntimeError)
    ├── WorkerError         another process of a training is gone      (RuntimeError)
    ├── OutputExistsError   an output would have been overwritten      (FileExistsError)
    └── MissingExtraError   an optional package is not installed       (ImportError)

    LatentlyWarning                                                    (UserWarning)
    ├── DataWarning         data was used, but not quite as it came
    │   └── DriftWarning    anomaly scores lie higher than in calibration
    └── TrainingWarning     training ended otherwise than asked    (sklearn's ConvergenceWarning)
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
    """Root of every error that latently raises on purpose."""


class ParameterError(LatentlyError, ValueError):
    """A parameter has a value that cannot be used."""


class DataError(LatentlyError, ValueError):
    """A table, an image or a file cannot be used as it is."""


class ModelFileError(LatentlyError, ValueError):
    """A model file was refused.

    Parameters
    ----------
    message : str
        What was wrong, in which file, and what to do.
    reason : str
        A short code that programs can branch on, for example ``"truncated"``.

    Attributes
    ----------
    reason : str
        The code given.
    """

    def __init__(self, message: str, reason: str) -> None:
        super().__init__(message)
        self.reason = reason

    def __reduce__(self) -> tuple[type["ModelFileError"], tuple[str, str]]:
        return type(self), (str(self), self.reason)


class NotFittedError(LatentlyError, _NotFittedError):  # type: ignore[misc]  # sklearn is untyped
    """The estimator was asked for an answer before ``fit``."""


class DivergenceError(LatentlyError, ArithmeticError):
    """Training produced NaN or an exploding loss, three roll-backs in a row."""


class ResourceError(LatentlyError, RuntimeError):
    """Memory, disk space or time ran out."""


class WorkerError(LatentlyError, RuntimeError):
    """Another process that trained, or scored, with this one is gone or does not answer."""


class OutputExistsError(LatentlyError, FileExistsError):
    """An output file exists and overwriting was not asked for."""


class MissingExtraError(LatentlyError, ImportError):
    """An optional package is needed; the message holds its install command."""


class LatentlyWarning(UserWarning):
    """Root of every warning that latently issues."""


class DataWarning(LatentlyWarning):
    """Data was used, but not quite as it came; the message counts the cells or rows."""


class DriftWarning(DataWarning):
    """Anomaly scores lie higher than those of calibration.

    More false alarms than asked for may follow.
    """


class TrainingWarning(LatentlyWarning, _ConvergenceWarning):  # type: ignore[misc]  # sklearn is untyped
    """Training ended otherwise than asked."""
