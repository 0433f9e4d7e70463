"""Detectors and autoencoders that are fitted once."""

from pathlib import Path

import numpy as np
import pytest

from latently import AnomalyDetector, Autoencoder, export_onnx

from .data import mixed_table


@pytest.fixture(scope="session")
def detector() -> AnomalyDetector:
    return AnomalyDetector(random_state=0).fit(mixed_table(300, 0))


@pytest.fixture(scope="session")
def numbers() -> np.ndarray:
    rng = np.random.default_rng(0)
    return rng.normal(size=(600, 2)) @ rng.normal(size=(2, 5)) + 0.1 * rng.normal(size=(600, 5))


@pytest.fixture(scope="session")
def of_numbers(numbers: np.ndarray) -> AnomalyDetector:
    return AnomalyDetector(random_state=0).fit(numbers[:400])


@pytest.fixture(scope="session")
def file(detector: AnomalyDetector, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("export") / "detector.onnx"
    export_onnx(detector, path)
    return path


@pytest.fixture(scope="session")
def autoencoder() -> Autoencoder:
    return Autoencoder(2, max_epochs=3, random_state=0).fit(mixed_table(120, 0))
