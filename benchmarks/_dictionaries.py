"""Sparse autoencoders, ours and the peers', each told steps, batch and active components."""

from __future__ import annotations

import contextlib
import importlib.machinery
import importlib.util
import io
import sys
import time
import types
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor

import latently

BATCH = 128
N_HELD_OUT = 1_000


class Task(NamedTuple):
    """What every method is asked for."""

    n_components: int
    n_active: int
    n_steps: int
    seed: int


class Dictionary(Protocol):
    """Rows in, sparse codes out, rows back; ``atoms`` in the units of the rows."""

    atoms: np.ndarray

    def fit(self, X: np.ndarray) -> Any: ...
    def transform(self, X: np.ndarray) -> np.ndarray: ...
    def inverse_transform(self, Z: np.ndarray) -> np.ndarray: ...


class Method(NamedTuple):
    """A dictionary by name."""

    title: str
    build: Callable[[Task], Dictionary]
    package: str = "latently"

    @property
    def installed(self) -> bool:
        """True if its package is there."""
        return importlib.util.find_spec(self.package) is not None


class Ours:
    """``SparseAutoencoder`` of one kind, its own defaults else."""

    def __init__(self, task: Task, sparsity: str) -> None:
        self.task, self.sparsity = task, sparsity

    def fit(self, X: np.ndarray) -> Ours:
        task = self.task
        # Whole passes of as many steps as the others take, over as many rows as that needs.
        n_passes = -(-task.n_steps * BATCH // (len(X) - N_HELD_OUT))
        X = X[: task.n_steps // n_passes * BATCH + N_HELD_OUT]
        self.model = latently.SparseAutoencoder(
            task.n_components, n_active=task.n_active, sparsity=self.sparsity, batch_size=BATCH,
            max_epochs=n_passes, patience=None, validation_fraction=N_HELD_OUT / len(X),
            random_state=task.seed,
        )  # fmt: skip
        start = time.process_time()
        self.model.fit(X)
        self.step_ms = 1e3 * (time.process_time() - start) / self.model.history_.last_step
        atoms = self.model.dictionary_ * self.model.preprocessor_.scale
        self.atoms = atoms / np.linalg.norm(atoms, axis=1, keepdims=True)
        return self

    def transform(self, X: np.ndarray) -> np.ndarray:
        return self.model.transform(X)

    def inverse_transform(self, Z: np.ndarray) -> np.ndarray:
        return self.model.inverse_transform(Z)


class _Peer:
    """Centred rows of mean squared length one, as every library asks for, and their batches."""

    def __init__(self, task: Task) -> None:
        self.task = task

    def fit(self, X: np.ndarray) -> Any:
        rows = torch.as_tensor(X, dtype=torch.float32)
        self.center = rows.mean(0)
        self.scale = float((rows - self.center).square().sum(1).mean().sqrt())
        torch.manual_seed(self.task.seed)
        start = time.process_time()
        with contextlib.redirect_stdout(io.StringIO()):
            self.learn((rows - self.center) / self.scale)
        self.step_ms = 1e3 * (time.process_time() - start) / self.task.n_steps
        return self

    def learn(self, rows: Tensor) -> None:
        """Train on the scaled rows and set ``atoms``."""
        raise NotImplementedError

    def encode(self, rows: Tensor) -> Tensor:
        raise NotImplementedError

    def decode(self, codes: Tensor) -> Tensor:
        raise NotImplementedError

    def batches(self, rows: Tensor) -> Iterator[Tensor]:
        order = torch.Generator().manual_seed(self.task.seed)
        index: Tensor = torch.empty(0, dtype=torch.long)
        for _ in range(self.task.n_steps):
            if len(index) < BATCH:
                index = torch.randperm(len(rows), generator=order)
            yield rows[index[:BATCH]]
            index = index[BATCH:]

    @torch.no_grad()
    def transform(self, X: np.ndarray) -> np.ndarray:
        rows = (torch.as_tensor(X, dtype=torch.float32) - self.center) / self.scale
        return torch.cat([self.encode(part) for part in rows.split(4_096)]).numpy()

    @torch.no_grad()
    def inverse_transform(self, Z: np.ndarray) -> np.ndarray:
        rows = self.decode(torch.as_tensor(Z))
        return (rows * self.scale + self.center).numpy()


class DictionaryLearning(_Peer):
    """dictionary_learning's trainers; its schedule constants are scaled to a short run."""

    def __init__(self, task: Task, sparsity: str) -> None:
        super().__init__(task)
        self.sparsity = sparsity

    def learn(self, rows: Tensor) -> None:
        absent("nnsight", "wandb", "circuitsvis", "umap", "plotly", "zstandard", "datasets")
        from dictionary_learning.trainers.batch_top_k import BatchTopKTrainer
        from dictionary_learning.trainers.top_k import TopKTrainer

        make = {"topk": TopKTrainer, "batchtopk": BatchTopKTrainer}[self.sparsity]
        n_steps = self.task.n_steps
        self.trainer = make(
            steps=n_steps, activation_dim=rows.shape[1], dict_size=self.task.n_components, layer=0,
            lm_name="none", device="cpu", seed=self.task.seed, lr=2e-3, k=self.task.n_active,
            warmup_steps=max(1, n_steps // 20), decay_start=int(n_steps * 0.8),
            threshold_start_step=n_steps // 2,
        )  # fmt: skip
        self.trainer.dead_feature_threshold = 100 * BATCH
        for step, batch in enumerate(self.batches(rows)):
            self.trainer.update(step, batch)
        self.atoms = self.trainer.ae.decoder.weight.T.detach().numpy()

    def encode(self, rows: Tensor) -> Tensor:
        return self.trainer.ae.encode(rows)

    def decode(self, codes: Tensor) -> Tensor:
        return self.trainer.ae.decode(codes)


class Overcomplete(_Peer):
    """overcomplete's TopKSAE, Adam at the rate that suits it best here."""

    def learn(self, rows: Tensor) -> None:
        absent("torchvision", "torchvision.transforms", "timm", "cv2", "skimage")
        import matplotlib.cm

        if not hasattr(matplotlib.cm, "get_cmap"):  # overcomplete 0.3 needs matplotlib before 3.9
            matplotlib.cm.get_cmap = matplotlib.colormaps.get_cmap
        from overcomplete.sae import TopKSAE

        task = self.task
        self.model = TopKSAE(rows.shape[1], nb_concepts=task.n_components, top_k=task.n_active)
        optimizer = torch.optim.Adam(self.model.parameters(), lr=2e-3)
        for batch in self.batches(rows):
            _, _, rebuilt = self.model(batch)
            loss = (batch - rebuilt).square().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        self.model.eval()
        self.atoms = self.model.get_dictionary().detach().numpy()

    def encode(self, rows: Tensor) -> Tensor:
        return self.model.encode(rows)[1]

    def decode(self, codes: Tensor) -> Tensor:
        return self.model.decode(codes)


class PCA:
    """As many numbers a row as the others have active."""

    def __init__(self, task: Task) -> None:
        self.n_active = task.n_active

    def fit(self, X: np.ndarray) -> PCA:
        from sklearn.decomposition import PCA as Sklearn

        start = time.process_time()
        self.model = Sklearn(self.n_active, svd_solver="covariance_eigh").fit(X)
        self.step_ms = 1e3 * (time.process_time() - start)
        self.atoms = self.model.components_
        return self

    def transform(self, X: np.ndarray) -> np.ndarray:
        return self.model.transform(X)

    def inverse_transform(self, Z: np.ndarray) -> np.ndarray:
        return self.model.inverse_transform(Z)


def absent(*names: str) -> None:
    """Put an empty module where a peer imports a package that this use of it never calls."""

    def attribute(name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return type(name, (), {})

    for name in names:
        try:
            importlib.import_module(name)
        except Exception:  # whatever keeps it from loading
            module = types.ModuleType(name)
            module.__getattr__ = attribute  # type: ignore[method-assign]
            module.__path__ = []
            module.__spec__ = importlib.machinery.ModuleSpec(name, None)
            sys.modules[name] = module


METHODS = (
    Method("PCA", PCA),
    Method(
        "dictionary_learning topk", lambda t: DictionaryLearning(t, "topk"), "dictionary_learning"
    ),
    Method(
        "dictionary_learning batchtopk",
        lambda t: DictionaryLearning(t, "batchtopk"),
        "dictionary_learning",
    ),
    Method("overcomplete topk", Overcomplete, "overcomplete"),
    Method("latently topk", lambda t: Ours(t, "topk")),
    Method("latently batchtopk", lambda t: Ours(t, "batchtopk")),
    Method("latently jumprelu", lambda t: Ours(t, "jumprelu")),
    Method("latently l1", lambda t: Ours(t, "l1")),
    Method("latently kl", lambda t: Ours(t, "kl")),
)
