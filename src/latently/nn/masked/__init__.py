"""The masked autoencoder of tables: its predictors, their blend and the calibrated distribution.

These modules import from the core files of ``latently.nn`` only. A further way to predict a hidden
cell from the other cells belongs here.
"""

from latently.nn.masked._columns import category_probabilities, prediction_error
from latently.nn.masked._conditional import ConditionalGaussian
from latently.nn.masked._module import ForestSize, MaskedModule
from latently.nn.masked._relations import Relation, Relations, RelationsSize, Units

__all__ = [
    "ConditionalGaussian",
    "ForestSize",
    "MaskedModule",
    "Relation",
    "Relations",
    "RelationsSize",
    "Units",
    "category_probabilities",
    "prediction_error",
]
