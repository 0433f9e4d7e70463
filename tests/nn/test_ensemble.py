"""An ensemble's module answers the mean of its members."""

import pytest
import torch

from latently._layout import Block, Layout
from latently.nn import (
    AutoencoderModule,
    Cells,
    DenseNetwork,
    Deterministic,
    EnsembleModule,
    Gaussian,
    Likelihood,
    VariationalModule,
)

LAYOUT = Layout((6,), (Block("gaussian", 1, 3), Block("categorical", 3, 1)))
CELLS = Cells(torch.randn(20, 6, generator=torch.Generator().manual_seed(0)))


def member(size: int, seed: int, latent=Deterministic, kind=AutoencoderModule, **scale):
    torch.manual_seed(seed)
    code = latent(size)
    encoder, decoder = DenseNetwork((8,)).build((6,), code.n_hidden, size, 6)
    likelihood = Likelihood(LAYOUT, torch.randn(6), **scale)
    return kind(encoder, code, decoder, likelihood, torch.randn(6)).eval()


@torch.no_grad()
def test_codes_lie_side_by_side_and_parameters_are_averaged():
    members = [member(2, 0), member(3, 1)]
    ensemble = EnsembleModule(members).eval()
    codes = [one.encode(CELLS).value for one in members]
    torch.testing.assert_close(ensemble.encode(CELLS).value, torch.cat(codes, 1))
    mean = (members[0].decode(codes[0]) + members[1].decode(codes[1])) / 2
    torch.testing.assert_close(ensemble.decode(torch.cat(codes, 1)), mean)
    torch.testing.assert_close(
        ensemble.reconstruct(CELLS), ensemble.likelihood.mean(mean).view(20, 6)
    )


@torch.no_grad()
def test_an_ensemble_of_one_is_the_one():
    one = member(2, 0)
    torch.testing.assert_close(EnsembleModule([one]).cell_errors(CELLS), one.cell_errors(CELLS))


@torch.no_grad()
def test_the_squared_error_is_the_members_less_their_spread():
    members = [member(2, seed) for seed in range(4)]
    ensemble = EnsembleModule(members).eval()
    numbers = slice(3)

    def squares(rows):
        return (rows - CELLS.values)[:, numbers].square()

    mean_of_errors = torch.stack([squares(one.reconstruct(CELLS)) for one in members]).mean(0)
    spread = ensemble.deviations(CELLS)[:, numbers].square()
    torch.testing.assert_close(squares(ensemble.reconstruct(CELLS)), mean_of_errors - spread)


@torch.no_grad()
def test_equal_members_agree():
    one = member(2, 0)
    torch.testing.assert_close(EnsembleModule([one, one]).deviations(CELLS), torch.zeros(20, 4))


@torch.no_grad()
def test_draws_and_learnt_noise_of_members_are_kept():
    members = [
        member(2, seed, Gaussian, VariationalModule, learn_scale=True).eval() for seed in (0, 1)
    ]
    for place, one in enumerate(members):
        one.likelihood.raw_log_scale.data.fill_(-place)
    ensemble = EnsembleModule(members)
    torch.testing.assert_close(ensemble.likelihood.log_scale, torch.full((6,), -0.5))
    drawn = torch.cat([one.draw_code(CELLS) for one in members], 1)
    torch.testing.assert_close(ensemble.draw_code(CELLS), drawn)
    assert float(ensemble.encode(CELLS).penalty.mean()) == pytest.approx(
        sum(float(one.encode(CELLS).penalty.mean()) for one in members), rel=1e-5
    )
