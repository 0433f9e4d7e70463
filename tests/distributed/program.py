"""What the workers of the tests do: one scenario, by name; results go to a folder, by rank."""

import json
import os
import signal
import sys
import time
import warnings
from pathlib import Path

import numpy as np
import torch

from latently import (
    Autoencoder,
    ConvNetwork,
    ConvolutionalAutoencoder,
    DenoisingAutoencoder,
    MapAutoencoder,
    SparseAutoencoder,
    TableDataset,
    VariationalAutoencoder,
    checkpointing,
)
from latently.exceptions import LatentlyError
from latently.nn import GaussianNoise, SaltAndPepper, VectorQuantization
from latently.training._checkpoint import TrainingCheckpoint
from latently.training._run import Run

RANK = int(os.environ.get("RANK", "0"))
ATTEMPT = int(os.environ.get("TORCHELASTIC_RESTART_COUNT", "0"))
#: Steps between two savings.
STEPS = 10


def table(n_rows=203, n_columns=8):
    rng = np.random.default_rng(0)
    codes = rng.normal(size=(n_rows, 3)) @ rng.normal(size=(3, n_columns))
    return (codes + 0.1 * rng.normal(size=codes.shape)).astype(np.float32)


X = table()
IMAGES = 1 / (1 + np.exp(-table(60, 48).reshape(60, 8, 6)))
FEW = {"max_epochs": 4, "batch_size": 32, "random_state": 0}
CONV = ConvNetwork((4, 8), normalization="batch", dropout=0.1)
#: Models whose every weight is decided by the rows.
MODELS = {
    "plain, recorded": (Autoencoder(3, max_epochs=120, batch_size=32, random_state=0), X),
    "gaps": (Autoencoder(3, **FEW), np.where(X > 1.5, np.nan, X)),
    "refitted": (Autoencoder(3, refit=True, **FEW), X),
    "all rows in training": (Autoencoder(3, validation_fraction=0.0, **FEW), X),
    "size of the code": (Autoencoder(**FEW), X),
    "variational": (VariationalAutoencoder(3, free_bits=0.1, **FEW), X),
    "importance": (VariationalAutoencoder(3, n_importance=4, **FEW), X),
    "denoising": (DenoisingAutoencoder(3, **FEW), X),
    "noise of two strengths": (Autoencoder(3, corruption=GaussianNoise((0.1, 0.5)), **FEW), X),
    "salt": (Autoencoder(3, corruption=SaltAndPepper(0.2), **FEW), X),
    "map": (MapAutoencoder(**FEW), X),
    "quantised": (Autoencoder(4, latent=VectorQuantization(8, n_groups=2), **FEW), X),
    **{
        name: (SparseAutoencoder(16, n_active=3, sparsity=name, **FEW), X)
        for name in ("topk", "batchtopk", "jumprelu", "l1", "kl")
    },
}
#: Offsets before a batch normalisation are decided by nothing: their answers are compared.
NORMALIZED = {
    "pixels": (Autoencoder(3, **FEW), IMAGES.reshape(60, -1)),
    "convolutions": (ConvolutionalAutoencoder(3, network=CONV, **FEW), IMAGES),
}


def arrays_of(model, rows):
    state = {f"weights/{name}": w.numpy() for name, w in model.module_.state_dict().items()}
    losses = [[r.train_loss, r.valid_loss] for r in model.history_.records]
    return {**state, "answers": np.asarray(model.reconstruct(rows)), "losses": np.array(losses)}


def keep(folder, name, arrays):
    np.savez(Path(folder) / f"{name}-{ATTEMPT}-{RANK}.npz", **arrays)


def models(folder):
    """Fit every model."""
    found = {}
    for name, (model, rows) in {**MODELS, **NORMALIZED}.items():
        fitted = model.fit(rows)
        found |= {f"{name}/{part}": a for part, a in arrays_of(fitted, rows).items()}
        found[f"{name}/recorded"] = np.array(fitted.history_.steps == "recorded")
    keep(folder, "models", found)


def without_seed(folder):
    """Fit a model that is given no seed."""
    keep(folder, "seedless", arrays_of(Autoencoder(3, max_epochs=2).fit(X), X))


def dataset(folder):
    """Fit rows on disk."""
    data = TableDataset(Path(folder) / "rows")
    model = Autoencoder(3, max_epochs=3, batch_size=32, random_state=0).fit(data)
    keep(folder, "dataset", arrays_of(model, data))


def disagreements(folder):
    """Let the second worker differ in one thing after the other."""
    files = TableDataset(Path(folder) / f"rows-{RANK}")
    fits = {
        "columns": (Autoencoder(2, random_state=0), X[:, : 8 - RANK]),
        "values": (Autoencoder(2, random_state=0), X + RANK * np.eye(203, 8)),
        "seed": (Autoencoder(2, random_state=RANK), X),
        "files": (Autoencoder(2, random_state=0), files),
    }
    for name, (model, rows) in fits.items():
        refused(folder, name, model, rows)


def too_few_rows(folder):
    """Fit two rows with three workers."""
    refused(folder, "few", Autoencoder(1, random_state=0), X[:2])


def refused(folder, name, model, rows):
    try:
        model.fit(rows)
    except LatentlyError as error:
        said = {"kind": type(error).__name__, "said": str(error)}
        (Path(folder) / f"{name}-{RANK}.json").write_text(json.dumps(said))


def every_few_steps(folder, at_step):
    """Fit with a checkpoint every few steps; call something at each step."""
    asked, pause = [0], Run._check_stop

    def is_due(checkpoint):
        asked[0] += 1
        return asked[0] % STEPS == 0

    def paused(run):
        at_step(run.step)
        pause(run)

    TrainingCheckpoint.is_due = property(is_due)
    Run._check_stop = paused
    model, rows = VariationalAutoencoder(3, max_epochs=20, batch_size=32, random_state=0), X
    with checkpointing(Path(folder) / "checkpoint"):
        return arrays_of(model.fit(rows), rows)


def unkilled(folder):
    """Fit to the end."""
    keep(folder, "unkilled", every_few_steps(folder, lambda step: None))


def killed(folder):
    """Kill the second worker in the middle, the first time."""

    def die(step):
        if ATTEMPT == 0 and RANK == 1 and step == 45:
            (Path(folder) / "died").write_text(str(time.time()))
            os.kill(os.getpid(), signal.SIGKILL)

    try:
        keep(folder, "killed", every_few_steps(folder, die))
    except LatentlyError as error:
        (Path(folder) / "lost").write_text(f"{time.time()} {type(error).__name__}: {error}")
        raise


def interrupted(folder):
    """Interrupt the second worker in the middle; another time, after the last step."""

    def press(step):
        if RANK == 1 and step == 45:
            os.kill(os.getpid(), signal.SIGINT)

    warnings.simplefilter("ignore")
    keep(folder, "interrupted", every_few_steps(folder, press))
    judge, model = Run.evaluate_stretch, Autoencoder(3, **FEW)

    def judged(run, loss):
        record = judge(run, loss)
        if RANK == 1 and run.step == run.options.n_steps:
            os.kill(os.getpid(), signal.SIGINT)
        return record

    Run.evaluate_stretch = judged
    found = arrays_of(model.fit(X), X)
    keep(folder, "late", {**found, "interrupted": np.array(model.interrupted_)})


if __name__ == "__main__":
    torch.set_num_threads(1)
    globals()[sys.argv[1]](sys.argv[2])
