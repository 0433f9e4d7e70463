"""The plane of a map, decoded."""

import numpy as np
import pytest
from sklearn.datasets import load_digits

from latently import Autoencoder, plot_plane
from latently.exceptions import DataError, ParameterError


def test_the_mosaic_shows_at_each_place_what_it_decodes_to():
    images = load_digits().images[:80]
    model = Autoencoder(2, max_epochs=2, random_state=0).fit(images)

    (picture,) = plot_plane(model, images, n_steps=3).axes[0].images

    mosaic = picture.get_array()
    low, high = np.quantile(model.transform(images), [0.005, 0.995], axis=0)
    corner = model.inverse_transform([[low[0], high[1]]])[0]
    assert mosaic.shape == (24, 24)
    shown = mosaic[:8, :8] / mosaic[:8, :8].max()  # one scale for all images
    np.testing.assert_allclose(shown, corner / corner.max(), atol=1e-6)


def test_a_wider_code_and_a_grid_of_one_place_are_refused():
    table = np.random.default_rng(0).normal(size=(30, 4))
    flat = Autoencoder(2, max_epochs=1, random_state=0).fit(table)
    with pytest.raises(DataError, match="has two components, got a model of 3"):
        plot_plane(Autoencoder(3, max_epochs=1, random_state=0).fit(table), table)
    with pytest.raises(ParameterError, match="n_steps must be at least 2"):
        plot_plane(flat, table, n_steps=1)
