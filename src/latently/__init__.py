"""Autoencoders with the interface of scikit-learn, on tables and images.

Public names are imported when they are first used, so that ``import latently`` is fast and does
not import torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from latently._renamed import CLASSES as _RENAMED

__version__ = "0.1.0"

#: Module of each public name.
_MODULE_OF = {
    "Autoencoder": "latently.estimators",
    "VariationalAutoencoder": "latently.estimators",
    "SparseAutoencoder": "latently.estimators",
    "ConvolutionalAutoencoder": "latently.estimators",
    "DenoisingAutoencoder": "latently.estimators",
    "EnsembleAutoencoder": "latently.estimators",
    "MapAutoencoder": "latently.estimators",
    "UNetAutoencoder": "latently.estimators",
    "ImputationAutoencoder": "latently.estimators",
    "NeighborAutoencoder": "latently.estimators",
    "AnomalyDetector": "latently.tasks",
    "FalseAlarmRate": "latently.tasks",
    "AlertBudget": "latently.tasks",
    "Contamination": "latently.tasks",
    "CostRatio": "latently.tasks",
    "MaxFScore": "latently.tasks",
    "AutoencoderImputer": "latently.tasks",
    "AutoencoderDenoiser": "latently.tasks",
    "LatentSampler": "latently.tasks",
    "TableSampler": "latently.tasks",
    "FeatureExtractor": "latently.tasks",
    "pool_estimates": "latently.tasks",
    "DenseNetwork": "latently.nn",
    "ConvNetwork": "latently.nn",
    "CustomNetwork": "latently.nn",
    "DictionaryNetwork": "latently.nn",
    "Masking": "latently.nn",
    "GaussianNoise": "latently.nn",
    "SaltAndPepper": "latently.nn",
    "Blocks": "latently.nn",
    "Blur": "latently.nn",
    "Downsampling": "latently.nn",
    "LocalEngine": "latently.training",
    "RayEngine": "latently.training",
    "BatchJob": "latently.persistence",
    "BatchPredictor": "latently.persistence",
    "TorchrunEngine": "latently.training",
    "AutoencoderSearchCV": "latently.tuning",
    "checkpointing": "latently.training",
    "fit_seeds": "latently.estimators",
    "fit_sizes": "latently.estimators",
    "TableDataset": "latently.io",
    "learning_curve": "latently.tuning",
    "repeated_score": "latently.tuning",
    "load": "latently.persistence",
    "inspect": "latently.inspection",
    "compare": "latently.inspection",
    "describe_latents": "latently.inspection",
    "export_onnx": "latently.export",
    "check_onnx": "latently.export",
    "make_report": "latently.report",
    "plot_anomalies": "latently.report",
    "plot_components": "latently.report",
    "plot_drift": "latently.report",
    "plot_explanation": "latently.report",
    "plot_fills": "latently.report",
    "plot_history": "latently.report",
    "plot_images": "latently.report",
    "plot_learning_curve": "latently.report",
    "plot_map": "latently.report",
    "plot_plane": "latently.report",
    "plot_reconstructions": "latently.report",
    "plot_search": "latently.report",
}
_MODULES = ("datasets", "exceptions", "io", "monitoring")

__all__ = [
    "Autoencoder",
    "VariationalAutoencoder",
    "SparseAutoencoder",
    "ConvolutionalAutoencoder",
    "DenoisingAutoencoder",
    "EnsembleAutoencoder",
    "MapAutoencoder",
    "UNetAutoencoder",
    "ImputationAutoencoder",
    "NeighborAutoencoder",
    "AnomalyDetector",
    "FalseAlarmRate",
    "AlertBudget",
    "Contamination",
    "CostRatio",
    "MaxFScore",
    "AutoencoderImputer",
    "AutoencoderDenoiser",
    "LatentSampler",
    "TableSampler",
    "FeatureExtractor",
    "pool_estimates",
    "DenseNetwork",
    "ConvNetwork",
    "CustomNetwork",
    "DictionaryNetwork",
    "Masking",
    "GaussianNoise",
    "SaltAndPepper",
    "Blocks",
    "Blur",
    "Downsampling",
    "LocalEngine",
    "RayEngine",
    "BatchJob",
    "BatchPredictor",
    "TorchrunEngine",
    "checkpointing",
    "AutoencoderSearchCV",
    "fit_seeds",
    "fit_sizes",
    "TableDataset",
    "learning_curve",
    "repeated_score",
    "load",
    "inspect",
    "compare",
    "describe_latents",
    "export_onnx",
    "check_onnx",
    "make_report",
    "plot_anomalies",
    "plot_components",
    "plot_drift",
    "plot_explanation",
    "plot_fills",
    "plot_history",
    "plot_images",
    "plot_learning_curve",
    "plot_map",
    "plot_plane",
    "plot_reconstructions",
    "plot_search",
    "datasets",
    "exceptions",
    "io",
    "monitoring",
]

if TYPE_CHECKING:
    from latently import datasets, exceptions, io, monitoring
    from latently.estimators import (
        Autoencoder,
        ConvolutionalAutoencoder,
        DenoisingAutoencoder,
        EnsembleAutoencoder,
        ImputationAutoencoder,
        MapAutoencoder,
        NeighborAutoencoder,
        SparseAutoencoder,
        UNetAutoencoder,
        VariationalAutoencoder,
        fit_seeds,
        fit_sizes,
    )
    from latently.export import check_onnx, export_onnx
    from latently.inspection import compare, describe_latents, inspect
    from latently.io import TableDataset
    from latently.nn import (
        Blocks,
        Blur,
        ConvNetwork,
        CustomNetwork,
        DenseNetwork,
        DictionaryNetwork,
        Downsampling,
        GaussianNoise,
        Masking,
        SaltAndPepper,
    )
    from latently.persistence import load
    from latently.report import (
        make_report,
        plot_anomalies,
        plot_components,
        plot_drift,
        plot_explanation,
        plot_fills,
        plot_history,
        plot_images,
        plot_learning_curve,
        plot_map,
        plot_plane,
        plot_reconstructions,
        plot_search,
    )
    from latently.tasks import (
        AlertBudget,
        AnomalyDetector,
        AutoencoderDenoiser,
        AutoencoderImputer,
        Contamination,
        CostRatio,
        FalseAlarmRate,
        FeatureExtractor,
        LatentSampler,
        MaxFScore,
        TableSampler,
        pool_estimates,
    )
    from latently.training import LocalEngine, RayEngine, TorchrunEngine, checkpointing
    from latently.tuning import AutoencoderSearchCV, learning_curve, repeated_score


def __getattr__(name: str) -> Any:
    if name in _MODULE_OF:
        return getattr(importlib.import_module(_MODULE_OF[name]), name)
    if name in _MODULES:
        return importlib.import_module(f"latently.{name}")
    if name in _RENAMED:
        # Not an AttributeError, whose words ``from latently import ...`` would drop.
        raise ImportError(f"{name} was renamed. Use {_RENAMED[name]}.")
    raise AttributeError(f"module 'latently' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
