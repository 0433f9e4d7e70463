"""Hyperparameter search, learning curves and repeated scores, evaluated on held-out rows.

Modules here may import from ``tasks`` and the packages below it. Optuna is imported in
``_optuna`` only, when a search begins.
"""

from latently.tuning._curves import (
    LearningCurve,
    RepeatedScore,
    learning_curve,
    repeated_score,
)
from latently.tuning._report import SearchReport, Standing
from latently.tuning._search import AutoencoderSearchCV
from latently.tuning._spaces import default_space
from latently.tuning._study import SearchTrial

__all__ = [
    "AutoencoderSearchCV",
    "LearningCurve",
    "RepeatedScore",
    "SearchReport",
    "SearchTrial",
    "Standing",
    "default_space",
    "learning_curve",
    "repeated_score",
]
