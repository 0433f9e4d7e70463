"""Uses of an autoencoder, each with scikit-learn's contract."""

from latently.tasks._base import AutoencoderTask, default_autoencoder
from latently.tasks._denoising import AutoencoderDenoiser
from latently.tasks._features import FeatureExtractor
from latently.tasks._trees import Trees
from latently.tasks.anomaly._detector import AnomalyDetector
from latently.tasks.anomaly._drift import ColumnDrift, Drift, DriftTally, drift_of_scores
from latently.tasks.anomaly._explanation import (
    Explanation,
    ImageExplanation,
    Reason,
    RowReasons,
    explain_images,
)
from latently.tasks.anomaly._reference import Reference
from latently.tasks.anomaly._repair import Repairs
from latently.tasks.anomaly._row_scores import (
    RowScores,
    anomaly_scores,
    autoencoder_of,
    codes,
    contributions,
    score_rows,
    spec_of,
)
from latently.tasks.anomaly._score_summary import ScoreSummary
from latently.tasks.anomaly._stream import Scored, ScoredRows, ScoreStream
from latently.tasks.generation._latent_sampler import LatentSampler
from latently.tasks.generation._leaf_donors import ColumnTrees
from latently.tasks.generation._refiner import Refiner
from latently.tasks.generation._table_sampler import TableSampler
from latently.tasks.imputation._category_sets import CategorySets
from latently.tasks.imputation._fill_report import FillReport
from latently.tasks.imputation._imputer import AutoencoderImputer, Bounds
from latently.tasks.imputation._rubin import Pooled, pool_estimates
from latently.tasks.scores._forest import AnomalyForest
from latently.tasks.scores._labelled import LabelledScore
from latently.tasks.scores._scores import ElboScore, EnergyScore, ReconstructionScore, SurpriseScore
from latently.tasks.thresholds._budgets import AlertBudget, Period, periods_of
from latently.tasks.thresholds._calibration import Calibration, DriftTest, benjamini_hochberg
from latently.tasks.thresholds._rules import (
    Contamination,
    CostRatio,
    Evidence,
    FalseAlarmRate,
    MaxFScore,
    Threshold,
    ThresholdRule,
)

__all__ = [
    "AnomalyDetector",
    "AlertBudget",
    "AutoencoderDenoiser",
    "AutoencoderImputer",
    "AutoencoderTask",
    "Bounds",
    "CategorySets",
    "Calibration",
    "ColumnDrift",
    "Contamination",
    "ScoreSummary",
    "CostRatio",
    "Drift",
    "DriftTally",
    "drift_of_scores",
    "DriftTest",
    "ElboScore",
    "EnergyScore",
    "Evidence",
    "Explanation",
    "FalseAlarmRate",
    "FeatureExtractor",
    "MaxFScore",
    "FillReport",
    "ImageExplanation",
    "LabelledScore",
    "AnomalyForest",
    "Trees",
    "LatentSampler",
    "TableSampler",
    "ColumnTrees",
    "Refiner",
    "Period",
    "Pooled",
    "Reason",
    "Reference",
    "Repairs",
    "RowReasons",
    "ReconstructionScore",
    "ScoreStream",
    "Scored",
    "ScoredRows",
    "SurpriseScore",
    "Threshold",
    "ThresholdRule",
    "benjamini_hochberg",
    "explain_images",
    "periods_of",
    "pool_estimates",
    "RowScores",
    "autoencoder_of",
    "default_autoencoder",
    "codes",
    "contributions",
    "score_rows",
    "spec_of",
    "anomaly_scores",
]
