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


def _convolutions(config: Any) -> tuple[Any, Any]:
    from pythae.models.nn.benchmarks.mnist import Decoder_Conv_AE_MNIST, Encoder_Conv_AE_MNIST

    return Encoder_Conv_AE_MNIST(config), Decoder_Conv_AE_MNIST(config)


class Pythae:
    """pythae's plain, convolutional or variational autoencoder; by default 100 epochs of Adam."""

    def __init__(
        self,
        model: str,
        n_components: int,
        seed: int,
        *,
        n_epochs: int = 100,
        batch_size: int = 64,
        learning_rate: float = 1e-4,
    ) -> None:
        import pythae  # noqa: F401  # say at once that it is not installed

        self.model, self.n_components, self.seed = model, n_components, seed
        self.options = {
            "num_epochs": n_epochs,
            "per_device_train_batch_size": batch_size,
            "learning_rate": learning_rate,
        }

    def fit(self, X: np.ndarray) -> Pythae:
        import torch
        from pythae.models import AE, VAE, AEConfig, VAEConfig
        from pythae.pipelines import TrainingPipeline
        from pythae.trainers import BaseTrainerConfig

        torch.manual_seed(self.seed)
        logging.disable(logging.INFO)
        make, configure = (VAE, VAEConfig) if self.model == "vae" else (AE, AEConfig)
        self.shape = (1, 28, 28)
        config = configure(input_dim=self.shape, latent_dim=self.n_components)
        self.net = make(config, *(_convolutions(config) if self.model == "conv" else ()))
        folder = tempfile.mkdtemp()
        trainer = BaseTrainerConfig(output_dir=folder, no_cuda=True, seed=self.seed, **self.options)
        pipeline = TrainingPipeline(training_config=trainer, model=self.net)
        pipeline(train_data=X.reshape(-1, *self.shape))
        self.net = pipeline.model.eval()
        shutil.rmtree(folder)
        return self

    def reconstruct(self, X: np.ndarray) -> np.ndarray:
        """Rebuild images."""
        return self.inverse_transform(self.transform(X)).reshape(X.shape)

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
