"""Rows that are read anew in every pass: none lost, none alone, mixed, and nothing left behind."""

import threading

import pytest
import torch

from latently.nn import Cells
from latently.training import StreamedData, TrainingData, _stream, n_batches


def data_of(n_rows, chunk, gaps=False):
    values = torch.arange(float(n_rows))[:, None]

    def chunks(seed, rank, n_workers):
        for start in range(0, n_rows, chunk):
            own = values[start : start + chunk]
            seen = torch.ones_like(own, dtype=torch.bool) if gaps and start else None
            yield TrainingData(Cells(own, seen))

    return StreamedData(n_rows, chunks, lambda n: [n_rows], TrainingData(Cells(values)))


def batches_of(data, batch_size, seed=0):
    return list(data.batches(batch_size, torch.Generator().manual_seed(seed)))


@pytest.mark.parametrize("n_rows", [1, 2, 5, 16, 17, 33, 100])
@pytest.mark.parametrize("batch_size", [1, 2, 16, 64])
@pytest.mark.parametrize("buffer", [1, 20, 1000])
def test_every_row_is_dealt_out_once_and_none_alone_in_larger_batches(
    monkeypatch, n_rows, batch_size, buffer
):
    monkeypatch.setattr(_stream, "_BUFFER_ELEMENTS", buffer)
    batches = batches_of(data_of(n_rows, 7), batch_size)
    dealt = torch.cat([batch.inputs.values.unique() for batch in batches])
    assert dealt.sort().values.tolist() == list(range(n_rows))
    assert len(batches) == n_batches(n_rows, batch_size)
    if min(n_rows, batch_size) > 1:
        assert min(len(batch.inputs.values) for batch in batches) > 1


def test_the_generator_decides_the_order():
    data = data_of(50, 10)
    first, again, other = (batches_of(data, 16, seed)[0].inputs.values for seed in (0, 0, 1))
    assert torch.equal(first, again) and not torch.equal(first, other)


def test_chunks_with_and_without_gaps_go_together():
    batches = batches_of(data_of(20, 10, gaps=True), 20)
    assert batches[0].inputs.observed.shape == (20, 1)


def test_rows_can_be_changed_on_their_way():
    data = data_of(20, 6).through(lambda rows: TrainingData(Cells(-rows.inputs.values)))
    dealt = torch.cat([batch.inputs.values for batch in batches_of(data, 8)])
    assert sorted(dealt.flatten().tolist()) == sorted(-float(n) for n in range(20))
    assert data.sample.inputs.values.min() == -19


def test_a_pass_that_is_left_leaves_no_thread():
    before = threading.active_count()
    passing = data_of(1_000, 10).batches(2, torch.Generator())
    next(passing)
    passing.close()
    assert threading.active_count() == before
