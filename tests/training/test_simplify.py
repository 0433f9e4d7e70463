"""The simplification of a recording keeps every bit."""

import pytest
import torch

from latently.training.recorded._recording import record
from latently.training.recorded._script import script
from latently.training.recorded._simplify import simplify

X, NUMBER = torch.randn(4, 3, generator=torch.Generator().manual_seed(0)), torch.tensor(0.5)


def twice_turned(x, number):
    return (x.t().t() @ x.t(),)


def gradient_of_a_mean(x, number):
    given = x.detach().requires_grad_()
    return torch.autograd.grad(given.square().mean(), given)


def a_penalty_of_zero(x, number):
    return ((x.sum(1) + number * x.new_zeros(4)).mean(),)


def a_sum_that_grows(x, number):
    total = x.new_zeros(2, 3)
    return (total.index_add_(0, torch.tensor([0, 1, 0, 1]), x),)


def zeros_that_broadcast(x, number):
    return (x[0] + number * x.new_zeros(4, 3),)


def written_into(x, number):
    again = x.clone()
    again.mul_(2.0)
    return (again + torch.ones_like(x),)


def noise(x, number):
    return (torch.bernoulli(torch.full_like(x, 0.5)) + x,)


#: Operations that are left of each.
LEFT = {
    twice_turned: {"t", "mm"},
    gradient_of_a_mean: {"pow", "mul"},
    a_penalty_of_zero: {"sum", "mean"},
}


@pytest.mark.parametrize(
    "compute",
    [twice_turned, gradient_of_a_mean, a_penalty_of_zero, zeros_that_broadcast, written_into],
)
def test_every_bit_stays(compute):
    recording = record(compute, (X, NUMBER))
    simplify(recording)
    run = script(recording)
    for x in (X, X.flip(0) * 3, -X):
        expected = compute(x, NUMBER)
        assert all(torch.equal(a, b) for a, b in zip(run(x, NUMBER), expected, strict=True))


@pytest.mark.parametrize("compute", LEFT)
def test_only_arithmetic_is_left(compute):
    recording = record(compute, (X, NUMBER))
    n_before = len(recording.graph.nodes)
    simplify(recording)
    left = {n.target._schema.name[6:] for n in recording.graph.nodes if n.op == "call_function"}
    assert left <= LEFT[compute] and len(recording.graph.nodes) < n_before


def test_a_constant_that_is_written_into_is_made_anew():
    recording = record(a_sum_that_grows, (X, NUMBER))
    simplify(recording)
    names = [n.target for n in recording.graph.nodes]
    assert torch.ops.aten.new_zeros.default in names
    run = script(recording)
    assert torch.equal(run(X, NUMBER)[0], run(X, NUMBER)[0])


def test_noise_is_drawn_anew():
    recording = record(noise, (X, NUMBER))
    simplify(recording)
    run = script(recording)
    assert not torch.equal(run(X, NUMBER)[0], run(X, NUMBER)[0])
