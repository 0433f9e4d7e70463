"""Closed forms of the likelihoods."""

import pytest
import torch
from torch.distributions import Bernoulli, Categorical, Normal

from latently._layout import Block, Layout
from latently.nn import Likelihood, mean_offset, spread

pytestmark = pytest.mark.trust("numbers")

LAYOUT = Layout(
    (3 + 2 * 3 + 2 + 3 * 2,),
    (
        Block("gaussian", 1, 3),
        Block("gaussian", 3, 2),
        Block("bernoulli", 1, 2),
        Block("categorical", 3, 2),
    ),
)


def rows(n=5, seed=0):
    """Return parameters and targets that every block understands."""
    generator = torch.Generator().manual_seed(seed)
    parameters = torch.randn(n, LAYOUT.width, dtype=torch.float64, generator=generator)
    target = torch.randn(n, LAYOUT.width, dtype=torch.float64, generator=generator)
    target[:, 9:11] = torch.rand(n, 2, dtype=torch.float64, generator=generator)
    picks = torch.randint(3, (n, 2), generator=generator)
    target[:, 11:] = torch.nn.functional.one_hot(picks, 3).double().flatten(1)
    return parameters, target


@pytest.fixture(params=[False, True], ids=["fixed scale", "learnt scale"])
def likelihood(request):
    made = Likelihood(LAYOUT, torch.zeros(LAYOUT.width), request.param).double()
    if request.param:
        torch.nn.init.normal_(made.raw_log_scale, std=0.3)
    return made


def test_the_loss_of_each_cell_equals_that_of_torch_distributions(likelihood):
    parameters, target = rows()
    scale = torch.ones(9) if likelihood.log_scale is None else likelihood.log_scale[:9].exp()

    losses = likelihood(parameters, target, None)

    numbers = -Normal(parameters[:, :9], scale).log_prob(target[:, :9])
    torch.testing.assert_close(losses[:, :3], numbers[:, :3])
    torch.testing.assert_close(losses[:, 3], numbers[:, 3:6].sum(1))
    pixels = Bernoulli(logits=parameters[:, 9:11], validate_args=False).log_prob(target[:, 9:11])
    torch.testing.assert_close(losses[:, 5:7], -pixels)
    category = Categorical(logits=parameters[:, 14:]).log_prob(target[:, 14:].argmax(1))
    torch.testing.assert_close(losses[:, 8], -category)


def test_gradients_pass_gradcheck(likelihood):
    parameters, target = rows(3)
    parameters.requires_grad_()
    assert torch.autograd.gradcheck(lambda p: likelihood(p, target, None), parameters)


def test_a_missing_cell_costs_nothing_and_moves_no_weight(likelihood):
    parameters, target = rows()
    parameters.requires_grad_()
    observed = torch.zeros(5, LAYOUT.n_columns, dtype=torch.bool)

    losses = likelihood(parameters, target, observed)

    assert losses.abs().max() == 0
    assert torch.autograd.grad(losses.sum(), parameters)[0].abs().max() == 0


def test_no_parameters_cost_less_than_the_least_loss(likelihood):
    parameters, target = rows(2000)
    best = target.clone()
    best[:, 9:11] = target[:, 9:11].logit()
    best[:, 11:] = 100 * target[:, 11:]

    least = likelihood.least(target, None)

    assert (likelihood(parameters, target, None) >= least - 1e-12).all()
    torch.testing.assert_close(likelihood(best, target, None), least)


def test_a_decoder_that_returns_zero_gives_the_column_means():
    _, target = rows(200)
    mean = target.mean(0)
    offset = mean_offset(LAYOUT, mean)
    likelihood = Likelihood(LAYOUT, offset)
    torch.testing.assert_close(likelihood.mean(offset[None])[0], mean)


def test_draws_have_the_expected_mean():
    torch.manual_seed(0)
    parameters = rows(1)[0].repeat(40_000, 1)
    likelihood = Likelihood(LAYOUT, torch.zeros(LAYOUT.width), learn_scale=True).double()
    drawn = likelihood.draw(parameters).mean(0)
    torch.testing.assert_close(drawn, likelihood.mean(parameters[:1])[0], atol=0.02, rtol=0)


def test_spreading_columns_over_elements_repeats_each_by_its_width():
    columns = torch.arange(LAYOUT.n_columns)[None]
    expected = [0, 1, 2, 3, 3, 3, 4, 4, 4, 5, 6, 7, 7, 7, 8, 8, 8]
    assert spread(columns, LAYOUT)[0].tolist() == expected


def test_the_learnt_scale_never_falls_below_its_least():
    likelihood = Likelihood(LAYOUT, torch.zeros(LAYOUT.width), learn_scale=True, min_scale=0.05)
    torch.nn.init.constant_(likelihood.raw_log_scale, -100.0)
    torch.testing.assert_close(likelihood.log_scale.exp(), torch.full((LAYOUT.width,), 0.05))
