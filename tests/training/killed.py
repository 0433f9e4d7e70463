"""Fits in processes of their own, which are killed at a call to the system or at any moment."""

import hashlib
import io
import multiprocessing
import os
import signal
from pathlib import Path

import numpy as np

from latently import Autoencoder, VariationalAutoencoder, checkpointing
from latently.training._checkpoint import TrainingCheckpoint

CONTEXT = multiprocessing.get_context("forkserver")
# Not this module: the server does not know where tests lie.
CONTEXT.set_forkserver_preload(["latently.estimators", "latently.tasks", "torch._dynamo"])

X = np.random.default_rng(0).normal(size=(60, 2)) @ np.ones((2, 5)) + np.arange(300).reshape(60, 5)
MODELS = {
    "plain": Autoencoder(2, max_epochs=20, refit=True, random_state=0),
    "drawing": VariationalAutoencoder(2, max_epochs=30, random_state=0),
}
#: Steps between two savings.
STEPS = 50
CALLS = ("open", "fsync", "close", "replace", "unlink", "mkdir")


def digest(model):
    """Return the arrays that identify a fitted model to the bit."""
    weights = b"".join(w.numpy().tobytes() for w in model.module_.state_dict().values())
    return hashlib.sha256(weights + str(model.history_.to_dict()).encode()).hexdigest()


def fit(name, folder, answer, kill_at=None):
    """Fit a model that is saved every few steps; die at a call to the system, if one is named."""
    asked = [0]

    def is_due(self):
        asked[0] += 1
        return asked[0] % STEPS == 0

    TrainingCheckpoint.is_due = property(is_due)
    counted = Calls(kill_at)
    with counted, checkpointing(folder):
        model = MODELS[name].fit(X)
    Path(answer).write_text(f"{digest(model)} {counted.n_made}")


class Calls:
    """Counts calls that change files, and kills the process in the middle of one of them."""

    def __init__(self, kill_at):
        self.kill_at, self.n_made = kill_at, 0

    def __enter__(self):
        self.before = {name: getattr(os, name) for name in CALLS}
        self.open = io.open
        for name, function in self.before.items():
            setattr(os, name, self.counted(function))
        io.open = self.opened
        return self

    def __exit__(self, *_):
        for name, function in self.before.items():
            setattr(os, name, function)
        io.open = self.open

    def counted(self, function):
        def call(*args, **kwargs):
            self.count()
            return function(*args, **kwargs)

        return call

    def count(self, before_death=lambda: None):
        self.n_made += 1
        if self.n_made == self.kill_at:
            before_death()
            os.kill(os.getpid(), signal.SIGKILL)

    def opened(self, *args, **kwargs):
        self.count()
        file = self.open(*args, **kwargs)
        return Written(file, self) if "w" in str(args[1:2]) + str(kwargs.get("mode", "")) else file


class Written:
    """A file that is open for writing; where it is killed, half of what it was given is there."""

    def __init__(self, file, calls):
        self.file, self.calls = file, calls

    def __getattr__(self, name):
        return getattr(self.file, name)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.file.close()

    def write(self, content):
        self.calls.count(lambda: (self.file.write(content[: len(content) // 2]), self.file.flush()))
        return self.file.write(content)

    def writelines(self, parts):
        self.write(b"".join(parts))


def run(name, folder, answer, kill_at=None, after=None):
    """Run one fit in a process; return whether it came to its end."""
    process = CONTEXT.Process(target=fit, args=(name, str(folder), str(answer), kill_at))
    process.start()
    process.join(after)
    if process.is_alive():
        process.kill()
        process.join()
    assert process.exitcode in (0, -signal.SIGKILL)
    return process.exitcode == 0
