"""Ours and PyOD's detectors by name, each with one way to fit and to score."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import numpy as np
import torch

SETTINGS = ("oneclass", "contaminated")


class Method(NamedTuple):
    """A detector by name; ``build`` takes the seed and the number of columns."""

    name: str
    title: str
    build: Callable[[int, int], Any]
    settings: tuple[str, ...] = SETTINGS
    slow: bool = False
    ours: bool = False


def _ours(**parameters: Any) -> Callable[[int, int], Any]:
    def build(seed: int, n_columns: int) -> Any:
        from latently import AnomalyDetector

        return AnomalyDetector(random_state=seed, **parameters)

    return build


def _convolutional(seed: int, n_columns: int) -> Any:
    from latently import ConvolutionalAutoencoder

    return _ours(autoencoder=ConvolutionalAutoencoder(random_state=seed))(seed, n_columns)


def _peer(module: str, name: str, **settings: Any) -> Callable[[int, int], Any]:
    """Return a builder; "seed" and "columns" among the settings' values are filled in."""

    def build(seed: int, n_columns: int) -> Any:
        known = {"seed": seed, "columns": n_columns}
        filled = {key: known.get(value, value) for key, value in settings.items()}
        return getattr(importlib.import_module(f"pyod.models.{module}"), name)(**filled)

    return build


_DEEP = {"random_state": "seed", "verbose": 0}
METHODS = (
    Method("latently", "latently", _ours(), ours=True),
    Method("robust", "latently, robust", _ours(robust=True), settings=SETTINGS[1:], ours=True),
    Method("1nn", "1-NN", _peer("knn", "KNN", n_neighbors=1)),
    Method("knn", "kNN", _peer("knn", "KNN")),
    Method("lof", "LOF", _peer("lof", "LOF")),
    Method("iforest", "IForest", _peer("iforest", "IForest", random_state="seed")),
    Method("ecod", "ECOD", _peer("ecod", "ECOD")),
    Method("ae", "AutoEncoder", _peer("auto_encoder", "AutoEncoder", **_DEEP), slow=True),
    Method("vae", "VAE", _peer("vae", "VAE", **_DEEP), slow=True),
    Method(
        "deepsvdd",
        "DeepSVDD",
        _peer("deep_svdd", "DeepSVDD", n_features="columns", **_DEEP),
        slow=True,
    ),
)
CONVOLUTIONAL = Method("convolutional", "latently, convolutional", _convolutional, ours=True)


def named_methods(*names: str) -> list[Method]:
    """Return the methods of these names that can be built here."""
    return installed(m for m in METHODS if m.name in names)


def installed(methods: Iterable[Method]) -> list[Method]:
    """Leave out, and name, peers that are not installed and options of ours not there yet."""
    present = []
    for method in methods:
        try:
            method.build(0, 2)
        except (ImportError, TypeError) as error:
            if method.name == "latently":
                raise
            print(f"missing: {method.title} ({error})")
        else:
            present.append(method)
    return present


def fitted(method: Method, train: np.ndarray, seed: int) -> Any:
    """Return the method fitted; peers may draw from the global generators."""
    torch.manual_seed(seed)
    np.random.seed(seed)  # noqa: NPY002
    model = method.build(seed, train[0].size)
    model.fit(train)
    return model


def unusual(method: Method, model: Any, X: np.ndarray) -> np.ndarray:
    """Return one finite score per row, higher for an anomaly."""
    found = -model.score_samples(X) if method.ours else model.decision_function(X)
    return _finite(np.asarray(found, dtype=np.float64).ravel())


def own_rows(method: Method, model: Any, X: np.ndarray) -> np.ndarray:
    """Return the scores of the training rows; PyOD's leave a row out of its own neighbours."""
    return unusual(method, model, X) if method.ours else _finite(np.asarray(model.decision_scores_))


def _finite(scores: np.ndarray) -> np.ndarray:
    good = np.isfinite(scores)
    return np.where(good, scores, scores[good].min() if good.any() else 0.0)
