"""Training on a GPU: the model of the CPU, steps as graphs, rows where there is room for them."""

from contextlib import nullcontext
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from latently import (
    Autoencoder,
    ConvNetwork,
    ConvolutionalAutoencoder,
    DenseNetwork,
    LocalEngine,
    VariationalAutoencoder,
)
from latently.estimators import fitted_of
from latently.nn import Cells
from latently.training import _engine
from latently.training._cpu_rows import CPURows
from latently.training._data import Batch, TrainingData
from latently.training._step import RecordedStep, Step, Update
from latently.training.recorded._cuda_graph import CapturedScript
from tests.contract.samples import matrix, stack

X = matrix(300)
CPU = torch.device("cpu")
needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")


def rows(n_rows=50):
    values = torch.arange(2.0 * n_rows).view(n_rows, 2)
    return TrainingData(Cells(values, values > 3), Cells(values + 1), torch.ones(n_rows))


def test_rows_that_stay_in_memory_come_in_the_same_batches():
    def dealt(data, skip):
        return list(data.batches(8, torch.Generator().manual_seed(0), skip))

    for skip in (0, 3):
        for here, there in zip(dealt(rows(), skip), dealt(CPURows(rows(), CPU), skip), strict=True):
            assert torch.equal(here.inputs.values, there.inputs.values)
            assert torch.equal(here.inputs.observed, there.inputs.observed)
            assert torch.equal(here.target.values, there.target.values)
            assert torch.equal(here.weight, there.weight)


def test_a_target_that_is_the_input_stays_so_when_it_is_moved():
    data = CPURows(TrainingData(rows().inputs), CPU)
    assert all(batch.target is batch.inputs for batch in data.in_order(16))
    assert data.sample.n_rows == data.n_rows == 50


def test_rows_without_room_on_the_device_stay_where_they_are(monkeypatch):
    plain = Autoencoder(2, max_epochs=3, random_state=0, engine="cpu").fit(X)
    monkeypatch.setattr(_engine, "_fits", lambda data, device: False)
    assert isinstance(LocalEngine("cpu").shard(rows()), CPURows)
    again = Autoencoder(2, max_epochs=3, random_state=0, engine="cpu").fit(X)
    np.testing.assert_allclose(again.transform(X), plain.transform(X), atol=1e-6)


def test_the_memory_of_rows_is_that_of_all_their_tensors():
    assert rows(50).n_bytes == 50 * (2 * 4 + 2 + 2 * 4 + 4)


def test_a_captured_script_reads_and_writes_where_it_did(monkeypatch):
    """A graph stood in for by a function that computes anew, in the places of the capture."""
    weight, written = torch.tensor([2.0, 3.0]), torch.zeros(2)
    places = []

    def run(weight, batch, into):
        places[:] = [weight, batch, into]
        into.add_(1.0)
        return (weight * batch,)

    class Graph:
        def replay(self):
            captured._answers[0].copy_(run(*places)[0])

    stream = SimpleNamespace(wait_stream=lambda other: None)
    for name, stand_in in {
        "Stream": lambda device: stream, "current_stream": lambda device: stream,
        "stream": lambda stream: nullcontext(), "graph": lambda graph, **_: nullcontext(),
        "CUDAGraph": Graph,
    }.items():  # fmt: skip
        monkeypatch.setattr(torch.cuda, name, stand_in)
    captured = CapturedScript(run, [weight, torch.ones(2), written], slice(1, 2))
    assert torch.equal(written, torch.zeros(2))
    answers = captured(weight, torch.tensor([5.0, 7.0]), written)
    assert torch.equal(answers[0], torch.tensor([10.0, 21.0]))
    weight.mul_(10)
    assert torch.equal(captured(weight, torch.ones(2), written)[0], torch.tensor([20.0, 30.0]))
    assert torch.equal(written, torch.full((2,), 2.0))


# ------------------------------------------------------------------ with a GPU
KINDS = {
    "numbers": (Autoencoder(2), X),
    "dropout": (Autoencoder(2, network=DenseNetwork((16,), dropout=0.2)), X),
    "variational": (VariationalAutoencoder(2), X),
    "images": (ConvolutionalAutoencoder(2, network=ConvNetwork((4, 8))), stack(300, 8, 8)),
}


@pytest.mark.gpu
@needs_gpu
@pytest.mark.parametrize("name", KINDS)
def test_steps_are_graphs_and_a_model_is_that_of_the_cpu(name):
    model, given = KINDS[name]
    model = model.set_params(max_epochs=30, random_state=0)
    on_cpu = model.set_params(engine="cpu").fit(given).score_samples(given)
    fitted = model.set_params(engine="cuda").fit(given)
    assert fitted.history_.steps == "recorded as CUDA graphs"
    np.testing.assert_allclose(fitted.score_samples(given), on_cpu, rtol=0.2)


@pytest.mark.gpu
@needs_gpu
@pytest.mark.parametrize("name", ["numbers", "images"])
def test_a_graph_has_the_gradients_of_autograd(name):
    model, given = KINDS[name]
    fitted = model.set_params(max_epochs=1, random_state=0, engine="cuda").fit(given)
    cells = fitted_of(fitted).read(given)
    engine, module = LocalEngine("cuda"), fitted.module_.to("cuda").train()
    found = {}
    for kind in (Step, RecordedStep):
        step = kind(engine, module, Update(1e-3, 0.01))
        for start in range(0, 96, 16):
            part = Cells(cells.values[start : start + 16].to("cuda", torch.float32))
            loss = step.gradients(Batch(part, part, None), 0.5)
        gradients = [p.grad for p in module.parameters()]
        if kind is RecordedStep:
            gradients = [part.clone() for part in step.flat.gradients]
            order = {id(p): g for p, g in zip(step.flat.parameters, gradients, strict=True)}
            gradients = [order[id(p)] for p in module.parameters()]
            assert step.description == "recorded as CUDA graphs"
        found[kind] = [float(loss), *(g.clone() for g in gradients)]
        step.release()
    eager, recorded = found[Step], found[RecordedStep]
    assert recorded[0] == pytest.approx(eager[0], rel=1e-5)
    for one, other in zip(eager[1:], recorded[1:], strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)


@pytest.mark.gpu
@needs_gpu
def test_results_fetched_while_others_are_computed_equal_those_of_the_cpu():
    many = np.tile(X, (100, 1))
    model = Autoencoder(2, max_epochs=3, random_state=0, engine="cpu").fit(X)
    on_cpu = model.transform(many)
    np.testing.assert_allclose(model.set_params(engine="cuda").transform(many), on_cpu, atol=1e-4)
