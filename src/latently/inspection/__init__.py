"""Numbers that explain a model, as frozen records."""

from latently.inspection._check import Finding, Health, check
from latently.inspection._compare import (
    ColumnComparison,
    Comparison,
    Utility,
    compare,
)
from latently.inspection._factors import FactorScores, Stability, score_factors, stability
from latently.inspection._facts import (
    BaselineFacts,
    ColumnFacts,
    ModelFacts,
    SparsityFacts,
    TrainingFacts,
    inspect,
)
from latently.inspection._latents import (
    LatentCard,
    LatentReport,
    Move,
    archetypes,
    describe_latents,
    traverse,
)
from latently.inspection._nearness import Privacy

__all__ = [
    "FactorScores",
    "Finding",
    "Health",
    "LatentCard",
    "LatentReport",
    "Move",
    "Stability",
    "archetypes",
    "check",
    "describe_latents",
    "score_factors",
    "stability",
    "traverse",
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
