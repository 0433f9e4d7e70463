"""Numbers that explain a model, as frozen records."""

from latently.inspection._compare import (
    ColumnComparison,
    Comparison,
    Privacy,
    Utility,
    compare,
)
from latently.inspection._facts import (
    BaselineFacts,
    ColumnFacts,
    ModelFacts,
    SparsityFacts,
    TrainingFacts,
    inspect,
)

__all__ = [
    "inspect",
    "compare",
    "ModelFacts",
    "TrainingFacts",
    "BaselineFacts",
    "SparsityFacts",
    "ColumnFacts",
    "Comparison",
    "ColumnComparison",
    "Privacy",
    "Utility",
]
