"""A program: fit and answer with two threads, then answer in other processes and threads."""

import hashlib
import multiprocessing
import os
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import joblib
import numpy as np
import torch

from latently import AnomalyDetector, Autoencoder
from latently.estimators._seeding import seeded

#: Seconds after which a child is taken to hang.
PATIENCE = 60
X = np.random.default_rng(0).normal(size=(6000, 40)).astype(np.float32)


def digest(model):
    """Return a hash of every answer: of the codes, the scores, and a fit of its own."""
    again = Autoencoder(3, max_epochs=1, random_state=0).fit(X[:500])
    answers = model.transform(X), model.score_samples(X), again.transform(X[:500])
    return hashlib.sha256(b"".join(answer.tobytes() for answer in answers)).hexdigest()


def forked(model):
    """Return what a forked child answers while another thread of the parent holds the lock."""
    is_held, is_over = threading.Event(), threading.Event()

    def hold():
        with seeded(0):
            is_held.set()
            is_over.wait()

    holder = threading.Thread(target=hold)
    holder.start()
    is_held.wait()
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.write(writer, digest(model).encode())
        finally:
            os._exit(0)
    is_over.set()
    holder.join()
    os.close(writer)
    return os.read(reader, 100).decode()


def pooled(model, method):
    with multiprocessing.get_context(method).Pool(1) as pool:
        return pool.apply_async(digest, [model]).get(PATIENCE)


def with_loky(model):
    return joblib.Parallel(2, timeout=PATIENCE)(joblib.delayed(digest)(model) for _ in range(2))[0]


def threaded(model):
    with ThreadPoolExecutor(2) as pool:
        answers = {job.result(PATIENCE) for job in [pool.submit(digest, model) for _ in range(4)]}
    return answers.pop() if len(answers) == 1 else "threads differ"


WAYS = {
    "os.fork": forked,
    "fork": lambda model: pooled(model, "fork"),
    "spawn": lambda model: pooled(model, "spawn"),
    "loky": with_loky,
    "threads": threaded,
}

if __name__ == "__main__":
    torch.set_num_threads(2)
    MODEL = Autoencoder(4, max_epochs=2, random_state=0).fit(X)
    # A detector computes with everything that a child may need: memories, calibration, trees.
    DETECTOR = AnomalyDetector(random_state=0).fit(X[:300])
    DETECTOR.predict(X[:300])
    print(digest(MODEL) == WAYS[sys.argv[1]](MODEL))
