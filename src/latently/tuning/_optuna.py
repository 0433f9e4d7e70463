"""Import of Optuna when a search begins, and suppression of its messages."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from latently.exceptions import MissingExtraError


def import_optuna() -> Any:
    """Return the module ``optuna``.

    Raises
    ------
    MissingExtraError
        If Optuna is not installed.
    """
    try:
        with warnings.catch_warnings():  # of its bar, which is never shown, in a notebook
            warnings.filterwarnings("ignore", message="IProgress not found")
            import optuna
    except ImportError:
        raise MissingExtraError(
            "A search needs optuna, which is not installed. Run pip install 'latently[tune]'."
        ) from None
    return optuna


@contextmanager
def quiet() -> Iterator[None]:
    """Suppress log messages and warnings of Optuna within the context."""
    optuna = import_optuna()
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            yield
    finally:
        optuna.logging.set_verbosity(before)
