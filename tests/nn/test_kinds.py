"""Likelihoods of grey and of whole numbers: they sum to one, and their means are their means."""

import pytest
import torch

from latently import Autoencoder, VariationalAutoencoder
from latently._layout import Block, Layout
from latently.exceptions import DataError
from latently.nn import Likelihood
from latently.nn._kinds import KINDS, ContinuousBernoulli, DiscretizedLogistic, Noise

LOGITS = torch.tensor([-30.0, -3.0, -0.02, -1e-3, 0.0, 1e-4, 0.5, 8.0, 60.0], dtype=torch.float64)
GREY = torch.linspace(0, 1, 20_001, dtype=torch.float64)
NONE = Noise(None, 0.0)


def density(logit):
    cells = logit.expand(len(GREY))[:, None, None]
    return (-ContinuousBernoulli().loss(cells, GREY[:, None, None], NONE)[:, 0]).exp()


@pytest.mark.parametrize("logit", LOGITS.tolist())
def test_a_continuous_bernoulli_sums_to_one_and_has_its_mean(logit):
    found = density(torch.tensor(logit, dtype=torch.float64))
    assert torch.trapezoid(found, GREY).item() == pytest.approx(1.0, abs=1e-4)
    mean = ContinuousBernoulli().mean(torch.tensor(logit, dtype=torch.float64)).item()
    assert torch.trapezoid(found * GREY, GREY).item() == pytest.approx(mean, abs=1e-4)


def test_series_and_closed_form_meet():
    kind = ContinuousBernoulli()
    for logit in (0.0099999, -0.0099999):
        near = torch.tensor([logit, logit * 1.00001], dtype=torch.float64)
        assert kind.mean(near).diff().abs().item() < 1e-7
        losses = kind.loss(near[:, None, None], torch.full((2, 1, 1), 0.3).double(), NONE)
        assert losses.diff(dim=0).abs().item() < 1e-7


def test_the_logit_of_a_mean_has_that_mean():
    means = torch.linspace(0.02, 0.98, 49, dtype=torch.float64)
    kind = ContinuousBernoulli()
    torch.testing.assert_close(kind.mean(kind.offset(means)), means, atol=1e-9, rtol=0)


@pytest.mark.parametrize("logit", [-20.0, -0.001, 0.003, 2.0, 40.0])
def test_drawn_grey_has_the_mean_of_its_density(logit):
    kind = ContinuousBernoulli()
    with torch.random.fork_rng():
        torch.manual_seed(0)
        drawn = kind.draw(torch.full((200_000,), logit), NONE)
    assert drawn.min() >= 0 and drawn.max() <= 1
    assert drawn.mean().item() == pytest.approx(kind.mean(torch.tensor(logit)).item(), abs=0.003)


@pytest.mark.parametrize(("center", "log_scale"), [(0.5, -2.0), (0.1, -4.0), (1.3, -1.0)])
def test_the_chances_of_all_whole_numbers_sum_to_one(center, log_scale):
    levels = torch.arange(256, dtype=torch.float64) / 255
    noise = Noise(torch.full((1, 1), log_scale, dtype=torch.float64), 1 / 255)
    losses = DiscretizedLogistic().loss(
        torch.full((256, 1, 1), center, dtype=torch.float64), levels[:, None, None], noise
    )
    assert (-losses).exp().sum().item() == pytest.approx(1.0, abs=1e-9)


def test_drawn_whole_numbers_have_the_stated_probabilities():
    noise = Noise(torch.full((1, 1), -1.5), 1 / 7)
    levels = torch.arange(8) / 7
    kind = DiscretizedLogistic()
    chances = (-kind.loss(torch.full((8, 1, 1), 0.4), levels[:, None, None], noise)[:, 0]).exp()
    with torch.random.fork_rng():
        torch.manual_seed(0)
        drawn = kind.draw(torch.full((100_000, 1, 1), 0.4), noise).flatten()
    counts = torch.bincount((drawn * 7).round().long(), minlength=8) / 100_000
    torch.testing.assert_close(counts, chances, atol=0.005, rtol=0)


@pytest.mark.parametrize("name", ["continuous_bernoulli", "discretized_logistic"])
def test_gradients_pass_gradcheck_and_no_loss_is_below_the_least(name):
    made = Likelihood(Layout((6,), (Block(name, 1, 6),), 1 / 255), torch.zeros(6)).double()
    generator = torch.Generator().manual_seed(0)
    target = torch.randint(256, (40, 6), generator=generator).double() / 255
    target[0, :2] = torch.tensor([0.0, 1.0])
    parameters = torch.randn(40, 6, dtype=torch.float64, generator=generator)

    found = made(parameters, target, None)

    assert (found >= made.least(target, None) - 1e-9).all()
    parameters = parameters[:5].requires_grad_()
    assert torch.autograd.gradcheck(lambda p: made(p, target[:5], None), parameters)


def test_every_choice_has_its_mathematics():
    names = {"gaussian", "bernoulli", "categorical"}
    assert set(KINDS) == names | {"continuous_bernoulli", "discretized_logistic"}


def test_whole_numbers_are_learnt_and_spread_is_found():
    generator = torch.Generator().manual_seed(0)
    bright = torch.randint(40, 200, (300, 1, 1), generator=generator).expand(300, 4, 4)
    images = (bright + torch.randn(300, 4, 4, generator=generator) * 8).clamp(0, 255)
    images = images.round().numpy().astype("uint8")
    model = VariationalAutoencoder(
        1, likelihood="discretized_logistic", max_epochs=60, learning_rate=0.01, random_state=0
    ).fit(images)
    # The deviation of a logistic is pi / sqrt(3) times its scale.
    spread = 255 * model.module_.likelihood.log_scale.exp().mean().item() * 1.814
    assert spread == pytest.approx(8, abs=3)
    assert model.reconstruct(images).dtype == "uint8"


def test_a_likelihood_that_does_not_fit_the_data_is_refused():
    table = torch.randn(30, 3).numpy()
    with pytest.raises(DataError, match="is for images of whole numbers, got a table"):
        Autoencoder(2, likelihood="discretized_logistic").fit(table)
    with pytest.raises(DataError, match="needs numbers from 0 to 1"):
        Autoencoder(2, likelihood="continuous_bernoulli").fit(table)
    with pytest.raises(DataError, match="needs images of whole numbers, got float32"):
        Autoencoder(2, likelihood="discretized_logistic").fit(torch.rand(20, 4, 4).numpy())


def test_grey_tables_are_learnt_by_their_density():
    generator = torch.Generator().manual_seed(0)
    rows = torch.rand(300, 1, generator=generator).expand(300, 5) * 0.9
    model = VariationalAutoencoder(
        1, likelihood="continuous_bernoulli", max_epochs=40, random_state=0
    ).fit(rows.numpy())
    rebuilt = model.reconstruct(rows.numpy())
    assert abs(rebuilt - rows.numpy()).mean() < 0.1
