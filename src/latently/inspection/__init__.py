"""Numbers that explain a model, as frozen records."""

from latently.inspection._facts import (
    BaselineFacts,
    ColumnFacts,
    ModelFacts,
    TrainingFacts,
    inspect,
)

__all__ = ["inspect", "ModelFacts", "TrainingFacts", "BaselineFacts", "ColumnFacts"]
