"""MNIST and tables with labels as the protocol parts them, noise, and the figures of pictures."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

#: Images kept for choosing, never for judging.
N_VALID = 2_000


class Labelled(NamedTuple):
    """Rows (or images) to learn from and rows to judge, each with what it shows."""

    train: np.ndarray
    y_train: np.ndarray
    test: np.ndarray
    y_test: np.ndarray


def mnist(folder: Path, n_train: int, n_test: int = 10_000) -> Labelled:
    """Return images of 28 x 28 pixels in [0, 1], subsampled by a fixed seed."""
    with np.load(folder / "mnist.npz") as data:
        images, labels, tested, answers = (
            data[key] for key in ("x_train", "y_train", "x_test", "y_test")
        )
    chosen = np.random.RandomState(0).permutation(len(images))[: min(n_train, 60_000 - N_VALID)]
    return Labelled(_unit(images[chosen]), labels[chosen], _unit(tested[:n_test]), answers[:n_test])


def _unit(images: np.ndarray) -> np.ndarray:
    return np.asarray(images, dtype=np.float32) / 255


def flat(images: np.ndarray) -> np.ndarray:
    """Return images as rows."""
    return images.reshape(len(images), -1)


def table(path: Path, n_train: int = 10_000) -> Labelled:
    """Return a table in standard deviations of its training rows."""
    with np.load(path) as data:
        X, y, X_test, y_test = (data[key] for key in ("x_train", "y_train", "x_test", "y_test"))
    chosen = np.random.RandomState(0).permutation(len(X))[:n_train]
    X = X[chosen].astype(np.float32)
    center, scale = X.mean(0), X.std(0) + 1e-6
    tested = ((X_test.astype(np.float32) - center) / scale).clip(-8, 8)
    return Labelled((X - center) / scale, y[chosen], tested, y_test)


# ---------------------------------------------------------------- noise
def add_noise(images: np.ndarray, setting: str, rng: np.random.Generator) -> np.ndarray:
    """Return images under "clipped 0.5", "unclipped 0.5" or "masked 0.5"."""
    kind, strength = setting.split()
    if kind == "masked":
        seen = rng.random(images.shape[:3]) >= float(strength)
        return images * (seen[..., None] if images.ndim == 4 else seen)
    noisy = images + float(strength) * rng.standard_normal(images.shape, dtype=np.float32)
    return np.clip(noisy, 0, 1) if kind == "clipped" else noisy


# ---------------------------------------------------------------- figures
def squared_error(truth: np.ndarray, answer: np.ndarray) -> float:
    """Return the squared error summed over the pixels, mean over the images."""
    residual = flat(truth).astype(np.float64) - flat(np.asarray(answer, dtype=np.float64))
    return float(np.square(residual).sum(1).mean())


def psnr(truth: np.ndarray, answer: np.ndarray) -> float:
    """Return the peak signal-to-noise ratio in decibels, mean over the images."""
    residual = flat(truth).astype(np.float64) - flat(answer)
    return float((-10 * np.log10(np.maximum(np.square(residual).mean(1), 1e-12))).mean())


def ssim(truth: np.ndarray, answer: np.ndarray) -> float:
    """Return the structural similarity (7 x 7 window), mean over the images."""
    from skimage.metrics import structural_similarity

    axis = -1 if truth.ndim == 4 else None
    pairs = zip(truth.astype(np.float64), answer.astype(np.float64), strict=True)
    return float(
        np.mean([structural_similarity(a, b, data_range=1.0, channel_axis=axis) for a, b in pairs])
    )


def neighbour_accuracy(codes: Labelled) -> float:
    """Return how often five nearest training codes tell what a test row shows."""
    from sklearn.neighbors import KNeighborsClassifier

    model = KNeighborsClassifier(5).fit(codes.train, codes.y_train)
    return float(model.score(codes.test, codes.y_test))


def trust(rows: np.ndarray, codes: np.ndarray) -> float:
    """Return the trustworthiness (10 neighbours) of 3,000 fixed rows."""
    from sklearn.manifold import trustworthiness

    chosen = np.random.RandomState(1).permutation(len(rows))[:3_000]
    return float(trustworthiness(rows[chosen], codes[chosen], n_neighbors=10))


def probe_accuracy(codes: Labelled, n_labels: int, seed: int) -> float:
    """Return the accuracy of a logistic regression taught by some labels; 0 means all."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    chosen = labelled_rows(codes.y_train, n_labels, seed)
    strength = 0.3 if n_labels else 1.0
    model = make_pipeline(StandardScaler(), LogisticRegression(C=strength, max_iter=200))
    model.fit(codes.train[chosen], codes.y_train[chosen])
    return float(model.score(codes.test, codes.y_test))


def labelled_rows(labels: np.ndarray, n_labels: int, seed: int) -> np.ndarray:
    """Return which rows get a label: two of each class first, the others at random."""
    if not n_labels:
        return np.arange(len(labels))
    order = np.random.RandomState(100 + seed).permutation(len(labels))
    classes = np.unique(labels)
    first = np.concatenate([order[labels[order] == label][:2] for label in classes])[:n_labels]
    others = order[~np.isin(order, first)][: n_labels - len(first)]
    return np.concatenate([first, others]).astype(int)


# ---------------------------------------------------------------- classic filters
def tuned_filter(
    make: Callable[[float], Callable[[np.ndarray], np.ndarray]],
    strengths: tuple[float, ...],
    truth: np.ndarray,
    noisy: np.ndarray,
) -> Callable[[np.ndarray], np.ndarray]:
    """Return the filter of the strength that is best on images with known truth."""

    def quality(strength: float) -> float:
        return psnr(truth, filtered(make(strength), noisy))

    return make(max(strengths, key=quality))


def filtered(one: Callable[[np.ndarray], np.ndarray], images: np.ndarray) -> np.ndarray:
    """Return every image through a filter of one, clipped to [0, 1]."""
    return np.clip(np.stack([one(image.astype(np.float64)) for image in images]), 0, 1)


# ---------------------------------------------------------------- photographs
def photographs() -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Return coloured pictures of scikit-image to learn from and to judge, in [0, 1]."""
    from skimage import data

    def read(name: str) -> np.ndarray:
        picture = getattr(data, name)()[..., :3]
        return np.asarray(picture, dtype=np.float32) / 255

    learnt = ("astronaut", "rocket", "retina", "immunohistochemistry", "hubble_deep_field")
    return {name: read(name) for name in learnt}, {n: read(n) for n in ("coffee", "chelsea")}
