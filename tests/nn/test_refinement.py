"""Refined codes are never worse than the encoder's and do not depend on the batch."""

import numpy as np
import pytest
import torch

from latently import Autoencoder, DenseNetwork
from latently.exceptions import ParameterError
from latently.nn._refinement import refine


def squared_error(decoder, rows):
    return lambda code: (code @ decoder - rows).square().sum(1)


@pytest.fixture
def linear():
    generator = torch.Generator().manual_seed(0)
    decoder = torch.randn(3, 8, generator=generator, dtype=torch.float64)
    rows = torch.randn(40, 8, generator=generator, dtype=torch.float64)
    return decoder, rows


def test_under_a_linear_decoder_codes_end_at_least_squares(linear):
    decoder, rows = linear
    best = torch.linalg.lstsq(decoder.T, rows.T).solution.T

    start = torch.zeros(40, 3, dtype=torch.float64)
    found = refine(start, torch.ones(3).double(), squared_error(decoder, rows), 200)

    torch.testing.assert_close(found, best, atol=1e-3, rtol=0)


@pytest.mark.parametrize("n_steps", [0, 1, 5])
def test_no_row_ends_worse_than_it_began(linear, n_steps):
    decoder, rows = linear
    error = squared_error(decoder, rows)
    start = torch.linalg.lstsq(decoder.T, rows.T).solution.T
    start[::2] += 0.01  # steps of one standard deviation overshoot from here

    found = refine(start, 100 * torch.ones(3).double(), error, n_steps)

    assert (error(found) <= error(start)).all()
    assert n_steps > 0 or torch.equal(found, start)


def test_the_refined_code_of_a_row_does_not_depend_on_the_batch(linear):
    decoder, rows = linear
    start, unit = torch.zeros(40, 3, dtype=torch.float64), torch.ones(3).double()

    together = refine(start, unit, squared_error(decoder, rows), 7)
    alone = refine(start[:1], unit, squared_error(decoder, rows[:1]), 7)

    torch.testing.assert_close(alone, together[:1], rtol=1e-12, atol=1e-12)


@pytest.fixture(scope="module")
def curved():
    """Rows on a curved sheet, and the first components of each model fitted to them."""
    rng = np.random.default_rng(0)
    X = np.tanh(rng.normal(size=(300, 2)) @ rng.normal(size=(2, 9)))
    model = Autoencoder(2, max_epochs=3, random_state=0)
    return X, model.fit(X), Autoencoder(2, max_epochs=3, random_state=0, refinement_steps=8).fit(X)


def test_refined_rows_are_rebuilt_better_by_the_same_network(curved):
    X, plain, refined = curved
    for name, weights in plain.module_.state_dict().items():
        assert torch.equal(weights, refined.module_.state_dict()[name])
    before, after = plain.reconstruction_error(X), refined.reconstruction_error(X)
    assert (after <= before + 1e-12).all()
    assert after.mean() < 0.9 * before.mean()


def test_a_reconstruction_is_decoded_from_the_code(curved):
    X, _, refined = curved
    np.testing.assert_allclose(
        refined.inverse_transform(refined.transform(X)), refined.reconstruct(X), atol=1e-12
    )


def test_rows_with_gaps_fit_the_cells_that_they_have(curved):
    X, plain, refined = curved
    holed = X.copy()
    holed[np.random.default_rng(1).random(X.shape) < 0.3] = np.nan
    before, after = plain.reconstruction_error(holed), refined.reconstruction_error(holed)
    assert (after <= before + 1e-12).all()
    assert after.mean() < 0.9 * before.mean()


def test_the_number_of_steps_is_checked():
    with pytest.raises(ParameterError, match="refinement_steps"):
        Autoencoder(2, refinement_steps=-1).fit(np.eye(20))


def test_a_network_with_a_linear_path_is_linear_if_its_layers_return_zero():
    encoder, _ = DenseNetwork((16,), linear_path=True).build((5,), 2, 2, 5)
    for weights in encoder[1].paths[0].parameters():
        torch.nn.init.zeros_(weights)
    rows = torch.randn(7, 5)
    whole = encoder(rows) - encoder(torch.zeros(1, 5))
    torch.testing.assert_close(encoder(3 * rows) - encoder(torch.zeros(1, 5)), 3 * whole)
