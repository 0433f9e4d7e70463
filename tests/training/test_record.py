"""A recording computes the same on other values, or is refused."""

import pytest
import torch
from torch.func import grad, vmap

from latently.training.recorded._recording import CannotRecord, record, while_recording
from latently.training.recorded._script import script
from latently.training.recorded._simplify import simplify, write_outputs

X, Y = (torch.randn(6, 4, generator=torch.Generator().manual_seed(seed)) for seed in (0, 1))
CPU = torch.device("cpu")


def derivative(x):
    given = x.detach().requires_grad_()
    return torch.autograd.grad(given.tanh().square().sum(), given)


def written_in_place(x):
    total = torch.zeros(4)
    total.add_(x.sum(0))
    return (total * 2,)


def several_answers(x):
    values, places = x.sort(1)
    first, second = values.split(2, 1)
    return first @ second.T, x.gather(1, places)


def model_by_model(x):
    return (vmap(grad(lambda row: row.pow(3).sum()))(x),)


def by_whole_places(x):
    return (x[torch.tensor([2, 0])],)


@pytest.mark.parametrize(
    "compute", [derivative, written_in_place, several_answers, model_by_model, by_whole_places]
)
def test_a_recording_computes_the_same_of_other_numbers(compute):
    run = script(record(compute, [X]))
    for x in (X, Y, -X):
        for found, expected in zip(run(x.clone()), compute(x.clone()), strict=True):
            assert torch.equal(found, expected)


def by_truths(x):
    return (x[x > 0].sum(),)


def a_number_that_is_read(x):
    return (x * float(x.sum()),)


def where_something_is(x):
    return (torch.nonzero(x).sum(),)


@pytest.mark.parametrize("compute", [by_truths, a_number_that_is_read, where_something_is])
def test_operations_that_depend_on_values_are_refused(compute):
    with pytest.raises(CannotRecord, match="depends on values"):
        record(compute, [X])


def test_a_tensor_from_elsewhere_is_held_and_read_anew():
    scale = torch.tensor(2.0)
    recording = record(lambda x: (x * scale,), [X])
    assert list(recording.constants.values()) == [scale]
    run = script(recording)
    scale.fill_(3.0)
    assert torch.equal(run(X)[0], X * 3)


def test_casts_are_recorded_and_not_taken_from_a_cache():
    weight = torch.randn(4, 4).requires_grad_()
    with torch.autocast("cpu", torch.bfloat16):
        _ = X @ weight  # its cast is kept as long as the context
        recording = record(lambda x, w: (x @ w,), [X, weight])
    assert not recording.constants
    assert torch.is_autocast_cache_enabled()


def test_random_states_are_restored_and_other_errors_give_a_reason():
    torch.manual_seed(0)
    state = torch.get_rng_state()
    with while_recording(CPU):
        record(lambda x: (x + torch.randn(4),), [X])
    assert torch.equal(torch.get_rng_state(), state)
    with pytest.raises(CannotRecord, match="a riddle"), while_recording(CPU):
        raise ValueError("a riddle\nof two lines")


def test_products_and_sums_of_rows_are_written_where_they_belong():
    def layer(x, weight, offset):
        weight, offset = (p.detach().requires_grad_() for p in (weight, offset))
        loss = torch.nn.functional.linear(x, weight, offset).square().sum()
        return (loss.detach(), *torch.autograd.grad(loss, [weight, offset]))

    weight, offset = torch.randn(3, 4), torch.randn(3)
    recording = record(layer, [X, weight, offset])
    simplify(recording)
    assert write_outputs(recording) == [1, 2]
    into = [torch.full((3, 4), torch.nan), torch.full((3,), torch.nan)]
    loss, *_ = script(recording)(Y, weight, offset, *into)
    expected = layer(Y, weight, offset)
    for found, one in zip((loss, *into), expected, strict=True):
        assert torch.equal(found, one)
