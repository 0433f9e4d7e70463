"""Recorded steps: the same gradients to the bit, for any network of torch's layers, or none."""

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from latently import (
    Autoencoder,
    ConvNetwork,
    ConvolutionalAutoencoder,
    CustomNetwork,
    DenoisingAutoencoder,
    DenseNetwork,
    LocalEngine,
    SparseAutoencoder,
    VariationalAutoencoder,
)
from latently.estimators import fitted_of
from latently.nn import Cells
from latently.training._data import Batch
from latently.training._step import RecordedStep, Step, Update, make_step
from tests.contract.samples import matrix, same, stack, transactions

EAGER, RECORDED = LocalEngine("cpu", "float32", records=False), LocalEngine("cpu", "float32")
UPDATE = Update(1e-3, 0.01)
SMALL = DenseNetwork((8,))
QUICK = {"max_epochs": 1, "random_state": 0, "engine": EAGER}
PIXELS = load_digits().data[:60] / 16


def with_gaps():
    rows = matrix(60)
    rows[np.random.default_rng(1).random(rows.shape) < 0.2] = np.nan
    return rows


CASES = {
    "numbers": (Autoencoder(2, network=SMALL, **QUICK), matrix(60)),
    "gaps": (Autoencoder(2, network=SMALL, **QUICK), with_gaps()),
    "mixed": (Autoencoder(2, network=SMALL, **QUICK), transactions("pandas")),
    "pixels": (Autoencoder(2, **QUICK), PIXELS),
    "dropout": (Autoencoder(2, network=DenseNetwork((8,), dropout=0.3), **QUICK), matrix(60)),
    "layer norm": (
        Autoencoder(2, network=DenseNetwork((8,), normalization="layer"), **QUICK),
        matrix(60),
    ),
    "ordered": (Autoencoder(4, ordered=True, network=SMALL, **QUICK), matrix(60)),
    "variational": (VariationalAutoencoder(2, network=SMALL, **QUICK), matrix(60)),
    "coins": (VariationalAutoencoder(2, binarize=True, **QUICK), PIXELS),
    "grey": (Autoencoder(2, likelihood="continuous_bernoulli", **QUICK), PIXELS),
    "images": (ConvolutionalAutoencoder(2, network=ConvNetwork((4, 8)), **QUICK), stack(60, 8, 8)),
    "torch's own": (
        Autoencoder(
            2,
            network=CustomNetwork(
                torch.nn.Sequential(torch.nn.Linear(5, 6), torch.nn.ReLU(), torch.nn.Linear(6, 2)),
                torch.nn.Sequential(torch.nn.Linear(2, 6), torch.nn.ELU(), torch.nn.Linear(6, 5)),
            ),
            **QUICK,
        ),
        matrix(60),
    ),
}


def lesson(name):
    """Return a module in training and a function that deals out batches."""
    model, rows = CASES[name]
    fitted = model.fit(rows)
    cells = fitted_of(fitted).read(rows)
    cells = cells._replace(values=cells.values.float())

    def batch(start):
        part = cells.take(slice(start, start + 16))
        return Batch(part, part, None)

    return fitted.module_.train(), batch


def taken(kind, name, rate=0.0, n_steps=8):
    """Return losses and gradients of some steps of one kind, and the state that they left."""
    module, batch = lesson(name)
    step, found = kind(EAGER, module, UPDATE), []
    torch.manual_seed(3)
    for number in range(n_steps):
        loss = step.gradients(batch(number % 3 * 16), 0.5)
        parameters = list(module.parameters())
        flat = getattr(step, "flat", None)
        if flat is None:
            gradients = [
                torch.zeros_like(p) if p.grad is None else p.grad.clone() for p in parameters
            ]
        else:
            by_id = {
                id(p): part.clone() for p, part in zip(flat.parameters, flat.gradients, strict=True)
            }
            gradients = [by_id[id(p)] for p in parameters]
        found.append((loss.clone(), gradients))
        if rate:
            step.descend(rate)
    description = step.description
    step.release()
    return found, {n: v.clone() for n, v in module.state_dict().items()}, description


@pytest.mark.parametrize("name", CASES)
def test_gradients_of_a_recorded_step_are_those_of_autograd_to_the_bit(name):
    eager, weights, _ = taken(Step, name)
    recorded, others, description = taken(RecordedStep, name)
    assert description == "recorded"
    for (loss, gradients), (again, others_) in zip(eager, recorded, strict=True):
        assert torch.equal(loss, again)
        assert all(torch.equal(a, b) for a, b in zip(gradients, others_, strict=True))
    assert all(torch.equal(weights[n], others[n]) for n in weights)


@pytest.mark.parametrize("name", ["numbers", "dropout", "images"])
def test_weights_go_the_same_way(name):
    (_, weights, _), (_, others, _) = (taken(k, name, rate=1e-3) for k in (Step, RecordedStep))
    # AdamW rounds the last bit otherwise where a layer's numbers do not fill a register.
    assert all(torch.allclose(weights[n], others[n], atol=1e-6) for n in weights)


def test_a_target_and_weights_are_recorded_with_the_rest():
    module, batch = lesson("numbers")
    rows = batch(0).inputs
    paired = Batch(rows, Cells(rows.values + 1), torch.rand(16))
    eager = Step(EAGER, module, UPDATE)
    losses = [eager.gradients(paired, 0.0) for _ in range(4)]
    recorded = RecordedStep(EAGER, module, UPDATE)
    again = [recorded.gradients(paired, 0.0) for _ in range(4)]
    assert recorded.description == "recorded" and losses == again


def test_the_weight_of_the_penalty_is_no_part_of_the_recording():
    module, batch = lesson("variational")
    eager, recorded = Step(EAGER, module, UPDATE), RecordedStep(EAGER, module, UPDATE)
    for weight in (0.0, 0.1, 0.2, 0.9, 1.0):
        torch.manual_seed(0)
        loss = recorded.gradients(batch(0), weight)
        torch.manual_seed(0)
        assert torch.equal(loss, eager.gradients(batch(0), weight))


def test_products_of_bfloat16_are_recorded_as_such():
    module, batch = lesson("pixels")
    half = LocalEngine("cpu", "bfloat16")
    found = []
    for kind, engine in ((Step, half), (RecordedStep, half), (Step, EAGER)):
        step = kind(engine, module, UPDATE)
        torch.manual_seed(0)
        found.append([step.gradients(batch(0), 0.0) for _ in range(5)][-1])
        step.release()
    assert torch.equal(found[0], found[1]) and not torch.equal(found[0], found[2])


def test_recording_draws_nothing_and_moves_nothing():
    module, batch = lesson("pixels")
    step = RecordedStep(EAGER, module, UPDATE)
    before = {n: v.clone() for n, v in module.state_dict().items()}
    torch.manual_seed(0)
    state = torch.get_rng_state()
    step._record(batch(0))
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(v, before[n]) for n, v in module.state_dict().items())


def test_a_clipped_gradient_is_torchs():
    module, batch = lesson("numbers")
    eager, recorded = Step(EAGER, module, UPDATE), RecordedStep(EAGER, module, UPDATE)
    recorded.gradients(batch(0), 0.0)
    recorded.clip(1e-3)
    whole = recorded.flat.gradient
    assert float(whole.norm()) == pytest.approx(1e-3, rel=1e-3)
    eager.gradients(batch(0), 0.0)
    eager.clip(1e-3)
    theirs = torch.cat([p.grad.reshape(-1) for p in module.parameters()])
    assert float(theirs.norm()) == pytest.approx(float(whole.norm()), rel=1e-5)


@pytest.mark.parametrize("kinds", [(Step, RecordedStep), (RecordedStep, Step)], ids=str)
def test_an_optimiser_goes_on_where_another_kind_stood(kinds):
    results = []
    for first, second in (kinds, (Step, Step)):
        module, batch = lesson("numbers")
        step = first(EAGER, module, UPDATE)
        for number in range(5):
            step.gradients(batch(number % 3 * 16), 0.0)
            step.descend(1e-2)
        state = step.state()
        step.release()
        other = second(EAGER, module, UPDATE)
        other.load(state)
        for number in range(5):
            other.gradients(batch(number % 3 * 16), 0.0)
            other.descend(1e-2)
        other.release()
        results.append(torch.cat([p.detach().reshape(-1) for p in module.parameters()]))
    assert torch.allclose(*results, atol=1e-6)


def test_layers_have_weights_of_their_own_again():
    module, batch = lesson("numbers")
    step = RecordedStep(EAGER, module, UPDATE)
    step.gradients(batch(0), 0.0)
    step.release()
    places = [p.untyped_storage().data_ptr() for p in module.parameters()]
    assert len(set(places)) == len(places)
    assert all(p.grad is None for p in module.parameters())


# ------------------------------------------------------------------ when, and when not
class Strange(torch.nn.Linear):
    """A layer that a recording would not follow."""

    def forward(self, rows):
        self.count = getattr(self, "count", 0) + 1
        return super().forward(rows) * (1 + self.count % 2)


def chosen(model, rows, n_steps=1_000, engine=RECORDED):
    module = model.fit(rows).module_
    return type(make_step(engine, module, UPDATE, n_steps))


def test_small_steady_modules_of_known_layers_are_recorded():
    for name in ("numbers", "mixed", "variational", "images", "torch's own"):
        assert chosen(*CASES[name]) is RecordedStep


@pytest.mark.parametrize(
    ("model", "change"),
    [
        (Autoencoder(2, **QUICK), {"n_steps": 30}),
        (Autoencoder(2, **QUICK), {"engine": EAGER}),
        (VariationalAutoencoder(2, n_importance=5, **QUICK), {}),
        (SparseAutoencoder(8, **QUICK), {}),
        (Autoencoder(2, network=CustomNetwork(Strange(5, 2), torch.nn.Linear(2, 5)), **QUICK), {}),
    ],
    ids=["few steps", "not wanted", "growing", "sparse", "strange layer"],
)
def test_others_are_not(model, change):
    assert chosen(model, matrix(60), **change) is Step


def test_large_modules_are_not(monkeypatch):
    monkeypatch.setattr("latently.training._step._HEAVY", 50)
    assert chosen(Autoencoder(2, **QUICK), matrix(60)) is Step


def test_a_step_that_cannot_be_recorded_uses_autograd_and_states_why(monkeypatch):
    from latently.training import _step
    from latently.training.recorded._recording import CannotRecord

    def refuse(recording):
        raise CannotRecord("a riddle")

    monkeypatch.setattr(_step, "script", refuse)
    model = Autoencoder(2, max_epochs=100, patience=None, random_state=0, engine="cpu")
    history = model.fit(matrix(200)).history_
    assert history.steps == "eager: its step cannot be recorded (a riddle)"
    assert history.stopped == "finished"


@pytest.mark.parametrize(
    "model",
    [
        Autoencoder(2, max_epochs=60, patience=None, random_state=0),
        DenoisingAutoencoder(2, max_epochs=60, patience=None, random_state=0),
        VariationalAutoencoder(2, max_epochs=60, patience=None, random_state=0),
    ],
    ids=str,
)
def test_a_model_is_the_same_however_its_steps_were_taken(model):
    rows = matrix(150)
    eager = model.set_params(engine=EAGER).fit(rows).transform(rows)
    fitted = model.set_params(engine=RECORDED).fit(rows)
    assert fitted.history_.steps == "recorded"
    assert np.abs(fitted.transform(rows) - eager).max() < 1e-3


def test_one_seed_gives_one_model_when_recorded():
    rows = matrix(150)
    model = Autoencoder(2, max_epochs=60, random_state=0, engine=RECORDED)
    assert same(model.fit(rows).transform(rows), model.fit(rows).transform(rows))


def test_a_shape_that_comes_seldom_is_not_recorded():
    module, batch = lesson("numbers")
    step = RecordedStep(EAGER, module, UPDATE)
    small = batch(0)
    small = Batch(small.inputs.take(slice(5)), small.inputs.take(slice(5)), None)
    for _ in range(10):
        step.gradients(batch(0), 0.0)
        step.gradients(small, 0.0)
    assert len(step.scripts) == 1
