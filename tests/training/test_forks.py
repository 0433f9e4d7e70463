"""A model answers in forked and spawned processes and in threads as it does where it was fitted."""

import os
import subprocess
import sys
import threading

import numpy as np
import pytest
import torch

from latently import Autoencoder
from latently._threads import lacks_threads
from latently.exceptions import ParameterError, ResourceError
from latently.io._prefetch import prefetched
from latently.training import LocalEngine
from latently.training._threads import _check_threads

pytestmark = pytest.mark.distributed


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs a system that forks")
@pytest.mark.parametrize("way", ["os.fork", "fork", "spawn", "loky", "threads"])
def test_other_processes_and_threads_give_the_same_bits(way):
    environment = {**os.environ, "OMP_NUM_THREADS": "2"}
    program = [sys.executable, "-W", "ignore", "-m", "tests.training.forked", way]
    done = subprocess.run(program, capture_output=True, text=True, timeout=240, env=environment)
    assert done.stdout == "True\n", done.stderr


def refuse_to_start(thread):
    raise RuntimeError("can't start new thread")


def test_threads_that_the_system_does_not_grant_are_a_sentence(monkeypatch):
    monkeypatch.setattr(threading.Thread, "start", refuse_to_start)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 8)
    _check_threads.cache_clear()
    with pytest.raises(ResourceError, match=r"must grant 7 threads, got 0\. Raise the limit"):
        Autoencoder(2, max_epochs=1).fit(np.random.default_rng(0).normal(size=(50, 4)))
    monkeypatch.undo()
    assert lacks_threads(3) is None


def test_rows_are_read_without_a_thread_where_none_is_granted(monkeypatch):
    monkeypatch.setattr(threading.Thread, "start", refuse_to_start)
    with prefetched(range(5)) as items:
        assert list(items) == [0, 1, 2, 3, 4]


def test_a_gpu_that_a_fork_has_lost_is_a_sentence(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "_is_in_bad_fork", lambda: True)
    with pytest.raises(ParameterError, match="forked after its parent had used it"):
        _ = LocalEngine().torch_device
    assert LocalEngine("cpu").torch_device.type == "cpu"
