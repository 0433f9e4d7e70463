"""Reading ahead, and which threads are left when it ends."""

import contextlib
import gc
import subprocess
import sys
import threading
from itertools import count, islice

import numpy as np
import pyarrow as pa
import pytest

from latently import Autoencoder
from latently.exceptions import DataError, TrainingWarning
from latently.io import TableDataset, write
from latently.io._bytes import arrow_reader
from latently.io._prefetch import prefetched
from latently.training import using_callback


def readers_ahead():
    """Return the threads that read ahead now."""
    return [t for t in threading.enumerate() if t.name == "latently-prefetch"]


def test_what_was_read_ahead_comes_in_order_and_errors_come_where_they_are_read():
    def items():
        yield from range(5)
        raise DataError("the sixth is bad")

    seen = []
    with pytest.raises(DataError, match="the sixth is bad"), prefetched(items()) as ahead:
        for item in ahead:
            seen.append(item)  # noqa: PERF402 - what came before the error counts
    assert seen == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("error", [DataError, KeyboardInterrupt, MemoryError])
def test_the_thread_has_ended_when_an_error_reaches_the_caller(error):
    # The traceback keeps every frame alive: nothing is left to the collection of garbage.
    with pytest.raises(error) as kept, prefetched(count()) as ahead:
        assert next(ahead) == 0 and readers_ahead()
        raise error
    assert not readers_ahead() and kept.value is not None


def test_the_thread_ends_with_a_reader_that_stops_early():
    closed = []

    def items():
        try:
            yield from count()
        finally:
            closed.append(threading.current_thread().name)

    with prefetched(items()) as ahead:
        assert list(islice(ahead, 3)) == [0, 1, 2]
    assert not readers_ahead() and closed == ["latently-prefetch"]


def test_a_generator_that_is_closed_ends_the_thread():
    def doubled():
        with prefetched(count()) as ahead:
            yield from (2 * item for item in ahead)

    numbers = doubled()
    assert next(numbers) == 0 and readers_ahead()
    numbers.close()
    assert not readers_ahead()


def test_a_reader_that_is_never_closed_does_not_hold_up_the_interpreter():
    program = (
        "from itertools import count\n"
        "from latently.io._prefetch import prefetched\n"
        "reader = prefetched(count())\n"
        "print(next(reader.__enter__()))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"0\n", b"")


def test_arrow_reads_no_memory_of_python():
    # A thread of Arrow that releases such memory while the interpreter ends aborts the process.
    raw = b"x,y\n1,2\n" * 100
    before = sys.getrefcount(raw)
    reader = arrow_reader(raw)
    assert sys.getrefcount(raw) == before
    assert reader.read() == raw


@pytest.fixture
def dataset(tmp_path):
    rows = np.random.default_rng(0).normal(size=(400, 3)).astype(np.float32)
    for part in range(4):
        columns = dict(zip("abc", rows[100 * part : 100 * part + 100].T, strict=True))
        write(pa.table(columns), tmp_path / f"{part}.parquet")
    return TableDataset(tmp_path)


def cut_short(dataset):
    """Damage the last of the files."""
    path = dataset.paths[-1]
    with open(path, "r+b") as file:  # noqa: PTH123
        file.truncate(200)


def test_no_thread_is_left_after_training_on_files_and_its_answers(dataset):
    model = Autoencoder(1, max_epochs=2, random_state=0).fit(dataset)
    model.transform(dataset)
    assert not readers_ahead()


@pytest.mark.parametrize("method", ["fit", "transform"])
def test_no_thread_is_left_after_files_that_break(dataset, method):
    model = Autoencoder(1, max_epochs=1, random_state=0).fit(dataset)
    cut_short(dataset)
    gc.disable()
    try:
        with pytest.raises(DataError, match="changed while it was read"):
            getattr(model, method)(dataset)
        assert not readers_ahead()
    finally:
        gc.enable()


@pytest.mark.parametrize("error", [ZeroDivisionError, KeyboardInterrupt])
def test_no_thread_is_left_where_a_callback_ends_the_training(dataset, error):
    class Ends:
        def on_train_begin(self, n_steps): ...
        def on_train_end(self, history): ...
        def on_evaluation(self, record):
            raise error

    model = Autoencoder(1, max_epochs=5, random_state=0)
    with contextlib.suppress(error, TrainingWarning), using_callback(Ends()):
        model.fit(dataset)
    assert not readers_ahead()
