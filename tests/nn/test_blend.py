"""Weights of several predictions, by held-out cells."""

import numpy as np
import torch
from scipy.optimize import nnls

from latently.nn.masked._blend import blend_weights

PRIOR = torch.tensor([0.0, 0.5, 0.5])


def column(n_held, noise, seed=0):
    """Return three predictions of a number, the first exact but for noise, and the truth."""
    rng = np.random.default_rng(seed)
    truth = rng.normal(size=n_held)
    predictions = np.stack([truth * noise[0], rng.normal(size=n_held), truth])
    predictions += rng.normal(size=predictions.shape) * np.array(noise)[:, None]
    return torch.from_numpy(predictions)[:, :, None], torch.from_numpy(truth)[:, None]


def weigh(*columns):
    predictions, truths = zip(*columns, strict=True)
    centers = [torch.zeros(1)] * len(columns)
    return blend_weights(list(predictions), list(truths), centers, [1.0] * len(columns), PRIOR)


def test_many_held_out_cells_give_the_least_squares_under_no_negative_weight():
    predictions, truth = column(200_000, (0.5, 1.0, 0.7))
    expected, _ = nnls(predictions[:, :, 0].numpy().T, truth[:, 0].numpy())
    np.testing.assert_allclose(weigh((predictions, truth))[0], expected, atol=0.01)


def test_without_held_out_cells_the_prior_stands():
    np.testing.assert_allclose(weigh(column(0, (1.0, 1.0, 1.0)))[0], PRIOR)


def test_predictions_of_pure_noise_are_drawn_to_the_mean():
    rng = np.random.default_rng(0)
    predictions, truth = rng.normal(size=(3, 5_000, 1)), rng.normal(size=(5_000, 1))
    assert float(weigh((torch.from_numpy(predictions), torch.from_numpy(truth))).sum()) < 0.1


def test_one_truth_far_out_does_not_stretch_all_predictions():
    predictions, truth = column(100, (0.3, 1.0, 0.5))
    truth[0], predictions[:, 0] = 50.0, 10.0
    assert float(weigh((predictions, truth)).sum()) <= 1 + 1e-9


def test_a_column_with_few_held_out_cells_follows_the_others():
    large, small = column(20_000, (0.5, 1.0, 0.7)), column(5, (0.5, 1.0, 0.7), seed=1)
    weights = weigh(large, small)
    np.testing.assert_allclose(weights[1], weights[0], atol=0.05)
