"""Closed forms of the latents."""

import math

import pytest
import torch
from torch.distributions import Normal, kl_divergence

from latently.nn import KL, L1, Deterministic, Gaussian, TopK
from latently.nn._row_noise import row_noise, row_seeds

pytestmark = pytest.mark.trust("numbers")

HIDDEN = torch.randn(7, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("training", [True, False])
def test_the_kl_equals_that_of_torch_distributions(training):
    latent = Gaussian(3).train(training)
    mean, log_variance = HIDDEN.chunk(2, 1)
    posterior = Normal(mean, (0.5 * log_variance).exp())

    penalty = latent(HIDDEN).penalty

    expected = kl_divergence(posterior, Normal(torch.zeros_like(mean), torch.ones_like(mean)))
    torch.testing.assert_close(penalty, expected.sum(1))


def test_the_kl_of_the_prior_itself_is_zero():
    assert Gaussian(3)(torch.zeros(4, 6)).penalty.abs().max() == 0


@pytest.mark.parametrize(
    "latent",
    [Gaussian(3).eval(), Deterministic(6), L1(6, 2).eval(), KL(6, 2).eval(), TopK(6, 2).eval()],
    ids=lambda x: type(x).__name__,
)
def test_gradients_of_value_and_penalty_pass_gradcheck(latent):
    hidden = HIDDEN.clone().requires_grad_()

    def outputs(hidden):
        code = latent(hidden)
        return code.value, code.penalty

    assert torch.autograd.gradcheck(outputs, hidden)


def test_the_sampled_code_has_the_posterior_moments():
    torch.manual_seed(0)
    hidden = torch.tensor([[1.0, -2.0, math.log(4.0), math.log(0.25)]]).repeat(100_000, 1)

    sample = Gaussian(2).train()(hidden).sample

    torch.testing.assert_close(sample.mean(0), torch.tensor([1.0, -2.0]), atol=0.03, rtol=0)
    torch.testing.assert_close(sample.std(0), torch.tensor([2.0, 0.5]), atol=0.03, rtol=0)


def test_the_importance_weight_is_the_ratio_of_prior_and_posterior():
    noise = torch.randn(7, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    mean, log_variance = HIDDEN.chunk(2, 1)

    sample, log_weight = Gaussian(3).weighted_draw(HIDDEN, noise)

    prior = Normal(torch.zeros_like(mean), torch.ones_like(mean)).log_prob(sample)
    posterior = Normal(mean, (0.5 * log_variance).exp()).log_prob(sample)
    torch.testing.assert_close(log_weight, (prior - posterior).sum(1))


def test_free_bits_leave_small_components_unpunished_and_large_ones_alone():
    hidden = torch.tensor([[0.1, 3.0, 0.0, 0.0]])
    latent = Gaussian(2, free_bits=0.5).train()

    penalty = latent(hidden).penalty

    torch.testing.assert_close(penalty, torch.tensor([0.5 + 4.5]))


@pytest.mark.parametrize("n_active", [1, 3, 6])
def test_topk_keeps_the_largest_positive_components(n_active):
    value = TopK(6, n_active)(HIDDEN).value

    kept = HIDDEN.topk(n_active, 1).values.relu()
    torch.testing.assert_close(value.sort(1, descending=True).values[:, :n_active], kept)
    assert ((value != 0).sum(1) <= n_active).all()


@pytest.mark.parametrize(("progress", "share"), [(0.0, 0.0), (0.125, 0.5), (0.25, 1.0), (1.0, 1.0)])
def test_the_penalty_warms_up_linearly(progress, share):
    assert Gaussian(2, weight=3.0, warmup=0.25).weight_at(progress) == pytest.approx(3.0 * share)


def test_draws_of_a_fitted_prior_have_the_moments_of_the_codes():
    torch.manual_seed(0)
    hidden = torch.randn(5000, 2) @ torch.tensor([[2.0, 0.0], [1.0, 0.5]]) + torch.tensor(
        [3.0, -1.0]
    )
    latent = Deterministic(2)

    latent.fit_prior(hidden)
    drawn = latent.draw(100_000)

    torch.testing.assert_close(drawn.mean(0), hidden.mean(0), atol=0.05, rtol=0)
    torch.testing.assert_close(drawn.T.cov(), hidden.T.cov(), atol=0.1, rtol=0)


def test_the_noise_of_a_row_is_standard_normal_and_its_own():
    rows = torch.randn(20_000, 3, generator=torch.Generator().manual_seed(0))
    noise = row_noise(row_seeds(rows), 0, 2)

    torch.testing.assert_close(noise.mean(0), torch.zeros(2).double(), atol=0.03, rtol=0)
    torch.testing.assert_close(noise.T.cov(), torch.eye(2).double(), atol=0.04, rtol=0)
    assert torch.equal(row_noise(row_seeds(rows[7:8]), 0, 2)[0], noise[7])
    assert not torch.equal(row_noise(row_seeds(rows), 1, 2), noise)
