"""Ours and the peers that learn codes, each with one way to fit, to encode and to decode."""

from __future__ import annotations

import importlib.util
import logging
import shutil
import tempfile
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import numpy as np
from sklearn.decomposition import PCA
from sklearn.kernel_approximation import Nystroem


class Coder(Protocol):
    """What is compared: rows in, codes out; ``inverse_transform`` where there is one."""

    def fit(self, X: np.ndarray) -> Any: ...
    def transform(self, X: np.ndarray) -> np.ndarray: ...


class Method(NamedTuple):
    """A coder by name; ``build`` takes the size of the code and the seed."""

    title: str
    build: Callable[[int, int], Coder]
    package: str = "latently"

    @property
    def installed(self) -> bool:
        """True if its package is there."""
        return importlib.util.find_spec(self.package) is not None


class Pythae:
    """pythae's plain or variational autoencoder at its defaults: 100 epochs of Adam."""

    def __init__(self, model: str, n_components: int, seed: int) -> None:
        self.model, self.n_components, self.seed = model, n_components, seed

    def fit(self, X: np.ndarray) -> Pythae:
        import torch
        from pythae.models import AE, VAE, AEConfig, VAEConfig
        from pythae.pipelines import TrainingPipeline
        from pythae.trainers import BaseTrainerConfig

        torch.manual_seed(self.seed)
        logging.disable(logging.INFO)
        make, configure = {"ae": (AE, AEConfig), "vae": (VAE, VAEConfig)}[self.model]
        self.shape = (1, 28, 28)
        self.net = make(configure(input_dim=self.shape, latent_dim=self.n_components))
        folder = tempfile.mkdtemp()
        trainer = BaseTrainerConfig(
            output_dir=folder,
            num_epochs=100,
            per_device_train_batch_size=64,
            learning_rate=1e-4,
            no_cuda=True,
            seed=self.seed,
        )
        pipeline = TrainingPipeline(training_config=trainer, model=self.net)
        pipeline(train_data=X.reshape(-1, *self.shape))
        self.net = pipeline.model.eval()
        shutil.rmtree(folder)
        return self

    def transform(self, X: np.ndarray) -> np.ndarray:
        return self._answers(X.reshape(-1, *self.shape), lambda b: self.net.encoder(b).embedding)

    def inverse_transform(self, Z: np.ndarray) -> np.ndarray:
        return self._answers(Z, lambda b: self.net.decoder(b).reconstruction)

    def sample(self, n: int, random_state: int) -> np.ndarray:
        """Decode draws from the prior."""
        codes = np.random.default_rng(random_state).standard_normal((n, self.n_components))
        return self.inverse_transform(codes)

    def _answers(self, rows: np.ndarray, ask: Callable[[Any], Any]) -> np.ndarray:
        import torch

        with torch.no_grad():
            parts = [ask(b) for b in torch.as_tensor(rows, dtype=torch.float32).split(1_000)]
        return torch.cat(parts).flatten(1).numpy()


class Embedding:
    """UMAP or PaCMAP; training rows keep the place that fit gave them."""

    def __init__(self, package: str, n_components: int, seed: int) -> None:
        self.package, self.n_components, self.seed = package, n_components, seed

    def fit(self, X: np.ndarray) -> Embedding:
        self.X = X
        if self.package == "umap":
            from umap import UMAP

            self.model = UMAP(n_components=self.n_components, random_state=self.seed, n_jobs=1)
            self.codes = self.model.fit_transform(X)
        else:
            from pacmap import PaCMAP

            self.model = PaCMAP(self.n_components, random_state=self.seed, save_tree=True)
            self.codes = self.model.fit_transform(X, init="pca")
        return self

    def transform(self, X: np.ndarray) -> np.ndarray:
        if X is self.X:
            return self.codes
        if self.package == "umap":
            return self.model.transform(X)
        return self.model.transform(X, basis=self.X.copy())


class Raw:
    """The rows themselves."""

    def fit(self, X: np.ndarray) -> Raw:
        return self

    def transform(self, X: np.ndarray) -> np.ndarray:
        return X


def _pca(n_components: int, seed: int) -> Coder:
    return PCA(n_components, random_state=seed)


def _narrow_pca(n_components: int, seed: int) -> Coder:
    """PCA that keeps 95 % of the variance: as many components as columns add nothing."""
    return PCA(0.95, random_state=seed)


def _nystroem(n_components: int, seed: int) -> Coder:
    return Nystroem(n_components=n_components, random_state=seed)


def _raw(n_components: int, seed: int) -> Coder:
    return Raw()


COMPRESSORS = (
    Method("PCA", _pca),
    Method("pythae AE", lambda k, seed: Pythae("ae", k, seed), "pythae"),
)
GENERATORS = (Method("pythae VAE", lambda k, seed: Pythae("vae", k, seed), "pythae"),)
MAPPERS = (
    Method("PCA", _pca),
    Method("UMAP", lambda k, seed: Embedding("umap", k, seed), "umap"),
    Method("PaCMAP", lambda k, seed: Embedding("pacmap", k, seed), "pacmap"),
)
EXTRACTORS = (
    Method("raw", _raw),
    Method("PCA", _narrow_pca),
    Method("Nystroem", _nystroem),
)
