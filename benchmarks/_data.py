"""Data sets, and how they are parted into rows to learn from and rows to judge."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from sklearn.datasets import load_digits


class Split(NamedTuple):
    """Rows, or images, to learn from and to judge."""

    train: np.ndarray
    test: np.ndarray
    is_anomaly: np.ndarray


def list_datasets(folder: Path, which: str) -> list[Path]:
    """Return the files of ``adbench`` chosen by number or stem, the smallest first."""
    files = sorted((folder / "adbench").glob("*.npz"), key=lambda p: (p.stat().st_size, p))
    parity = {"all": (0, 1), "odd": (1,), "even": (0,)}.get(which)
    if parity is not None:
        return [path for path in files if _number(path) % 2 in parity]
    wanted = which.split(",")
    return [path for path in files if path.stem in wanted or str(_number(path)) in wanted]


def _number(path: Path) -> int:
    found = re.match(r"\d+", path.name)
    return int(found.group()) if found else 0


def load(path: Path, max_rows: int) -> tuple[np.ndarray, np.ndarray]:
    """Return rows and labels, subsampled by a fixed seed."""
    with np.load(path) as data:
        X, y = data["X"].astype(np.float64), data["y"].astype(int).ravel()
    if len(X) > max_rows:
        kept = np.random.default_rng(0).choice(len(X), max_rows, replace=False)
        X, y = X[kept], y[kept]
    return X, y


def split(X: np.ndarray, y: np.ndarray, setting: str, seed: int) -> Split:
    """Part the rows by the setting; standardise by the training rows."""
    train, test, labels = X, X, y
    if setting == "oneclass":
        order = np.random.default_rng(seed).permutation(len(X))
        X, y = X[order], y[order]
        normal = np.flatnonzero(y == 0)
        n_train = round(0.5 * len(normal))
        tested = np.concatenate([normal[n_train:], np.flatnonzero(y == 1)])
        train, test, labels = X[normal[:n_train]], X[tested], y[tested]
    mean, spread = train.mean(0), train.std(0)
    spread = np.where(spread < 1e-12, 1.0, spread)
    return Split((train - mean) / spread, (test - mean) / spread, labels == 1)


def generated_table(n_rows: int, seed: int) -> np.ndarray:
    """Return ten columns that four hidden ones and some noise explain."""
    weights = np.random.default_rng(0).normal(size=(4, 10))
    rng = np.random.default_rng([1, seed])
    return np.tanh(rng.normal(size=(n_rows, 4)) @ weights) + 0.1 * rng.normal(size=(n_rows, 10))


def digits_splits(seed: int) -> Iterator[Split]:
    """Yield, for each digit, half of its images to learn from, and all other images."""
    digits = load_digits()
    images = (15 * digits.images).astype(np.uint8)  # 0 to 16 in the file
    for label in range(10):
        own = np.random.default_rng(seed).permutation(np.flatnonzero(digits.target == label))
        train = own[: len(own) // 2]
        tested = np.setdiff1d(np.arange(len(images)), train)
        yield Split(images[train], images[tested], digits.target[tested] != label)


def mnist_splits(folder: Path, *, quick: bool) -> Iterator[Split]:
    """Yield, for each digit, its training images, and the test images of all."""
    n_train, n_test = (1_000, 1_000) if quick else (60_000, 10_000)
    with np.load(folder / "mnist.npz") as data:
        images, labels, tested, answers = (
            data[key] for key in ("x_train", "y_train", "x_test", "y_test")
        )
    for label in range(10):
        train = images[labels == label][:n_train]
        yield Split(train, tested[:n_test], answers[:n_test] != label)
