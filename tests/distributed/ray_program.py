"""What the tests ask of Ray, one thing after the other in one program: starting it takes long."""

import json
import os
import signal
import sys
import time
from pathlib import Path

import numpy as np
import torch
from sklearn.base import BaseEstimator

from latently import (
    AnomalyDetector,
    Autoencoder,
    AutoencoderSearchCV,
    BatchJob,
    BatchPredictor,
    RayEngine,
    TableDataset,
    VariationalAutoencoder,
    checkpointing,
)
from latently.estimators.fit import _run_loop
from latently.exceptions import LatentlyError
from tests.distributed.program import FEW, X, arrays_of

ENGINE = RayEngine(2)


class Recorder:
    """A callback that keeps the records."""

    heard: tuple = ()

    def __init__(self, title):
        Recorder.heard = ()

    def __getattr__(self, name):
        def hear(what):
            Recorder.heard += (name,)

        return hear


class Deadly(BaseEstimator):
    """A corruption that kills the second worker, the first time."""

    def __init__(self, mark, after=60):
        self.mark, self.after = mark, after

    def __call__(self, values, observed):
        self.n_calls = getattr(self, "n_calls", 0) + 1
        time.sleep(0.01)
        deadly = os.environ.get("RANK") == "1" and self.n_calls == self.after
        if deadly and not Path(self.mark).exists():
            Path(self.mark).touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return values, observed


def keep(folder, name, arrays):
    np.savez(folder / f"{name}.npz", **arrays)


def fits(folder):
    """Fit the same model in a single process and in workers, with callbacks."""
    _run_loop.ProgressBar = Recorder
    model = VariationalAutoencoder(3, verbose=True, **FEW)
    keep(folder, "alone", arrays_of(model.fit(X), X))
    keep(folder, "workers", arrays_of(model.set_params(engine=ENGINE).fit(X), X))
    return list(Recorder.heard)


def dataset(folder):
    """Rows on disk, read by the workers."""
    data = TableDataset(folder / "rows")
    fitted = Autoencoder(3, max_epochs=3, batch_size=32, random_state=0, engine=ENGINE).fit(data)
    keep(folder, "dataset", arrays_of(fitted, data))
    fitted.save(folder / "model.safetensors", overwrite=True)


def killed(folder):
    """A worker is killed; training goes on from its checkpoint."""
    engine = RayEngine(2, max_failures=1)
    dying = Deadly(str(folder / "died"))
    model = Autoencoder(3, corruption=dying, max_epochs=20, batch_size=32, random_state=0)
    with checkpointing(folder / "checkpoint", interval=0.0):
        keep(folder, "killed", arrays_of(model.set_params(engine=engine).fit(X), X))


def lost(folder):
    """A worker is killed, and that is it."""
    model = Autoencoder(3, corruption=Deadly(str(folder / "gone"), 5), engine=ENGINE, **FEW)
    model.fit(X)


def too_many(folder):
    """More workers than cores."""
    Autoencoder(3, engine=RayEngine(999), **FEW).fit(X)


class Dying(BatchPredictor):
    """A predictor whose process is killed in the middle of a file, the first time."""

    def __call__(self, batch):
        mark = Path(self.path).with_name("actor-died")
        if not mark.exists():
            mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return super().__call__(batch)


def actor_killed(folder):
    """An actor is killed; another one answers."""
    predictor = Dying(str(folder / "detector.safetensors"), "score", ["x0"])
    found = BatchJob(predictor, TableDataset(folder / "rows"), folder / "again").run(ENGINE)
    return [found.n_files, found.n_rows, (folder / "actor-died").exists()]


def scores(folder):
    """Files answered by actors are those answered here; what is there is not answered again."""
    data = TableDataset(folder / "rows")
    AnomalyDetector(random_state=0).fit(data.to_table()).save(folder / "detector.safetensors")
    predictor = BatchPredictor(str(folder / "detector.safetensors"), "score", ["x0"])
    BatchJob(predictor, data, folder / "here").run()
    BatchJob(predictor, data, folder / "there").run(ENGINE)
    first = sorted((folder / "there").glob("*.parquet"))[0]
    first.unlink()
    again = BatchJob(predictor, data, folder / "there", resume=True).run(ENGINE)
    return [again.n_files, again.n_before, again.n_rows]


def search(folder):
    """Trials are run by workers."""
    model = Autoencoder(2, max_epochs=5, engine=ENGINE)
    found = AutoencoderSearchCV(model, n_trials=2, random_state=0).fit(X)
    return [len(found.trials_), found.best_estimator_.module_.center.shape[0]]


def main(folder, *names):
    torch.set_num_threads(1)
    told = {}
    for name in names:
        work = globals()[name]
        began = time.perf_counter()
        try:
            told[work.__name__] = work(folder)
        except LatentlyError as error:
            told[work.__name__] = f"{type(error).__name__}: {error}"
        print(work.__name__, f"{time.perf_counter() - began:.1f} s", told[work.__name__])
    (folder / "told.json").write_text(json.dumps(told))


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
