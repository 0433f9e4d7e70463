"""``MapAutoencoder`` preserves neighbours, and its positions decode."""

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_digits
from sklearn.manifold import trustworthiness
from sklearn.neighbors import KNeighborsClassifier

from latently import Autoencoder, MapAutoencoder, Masking, load
from latently.exceptions import ParameterError


@pytest.fixture(scope="module")
def digits():
    images, labels = load_digits(return_X_y=True)
    return images[:1000] / 16, labels[:1000], images[1000:] / 16, labels[1000:]


@pytest.fixture(scope="module")
def model(digits):
    return MapAutoencoder(max_epochs=40, random_state=0).fit(digits[0])


def test_new_digits_lie_among_their_like_as_no_two_principal_components_do(digits, model):
    X, y, strangers, expected = digits
    codes = model.transform(strangers)
    assert KNeighborsClassifier(5).fit(model.transform(X), y).score(codes, expected) > 0.9
    assert trustworthiness(strangers, codes, n_neighbors=10) > 0.95


def test_a_row_of_fit_has_its_own_place_alone_and_in_company(digits, model):
    X = digits[0]
    places = model.transform(X)
    np.testing.assert_array_equal(model.transform(X[7:8]), places[7:8])
    known = model.module_.latent.places.numpy()
    assert {tuple(p) for p in places.astype(np.float32)} <= {tuple(p) for p in known}


def test_what_a_place_decodes_to_is_what_lies_there(digits, model):
    X = digits[2]
    rebuilt = model.inverse_transform(model.transform(X))
    mean = np.square(X - X.mean(0)).mean()
    assert np.square(X - rebuilt).mean() < 0.7 * mean


def test_rows_made_up_lie_beside_rows_of_the_map(model):
    made = model.transform(model.sample(50, random_state=0))
    assert np.isfinite(made).all() and len(made) == 50


def test_few_landmarks_place_many_rows(digits):
    X, y, strangers, expected = digits
    few = MapAutoencoder(n_landmarks=300, max_epochs=2, random_state=0).fit(X)
    assert few.module_.keys.shape == (300, 50)
    score = (
        KNeighborsClassifier(5).fit(few.transform(X), y).score(few.transform(strangers), expected)
    )
    assert score > 0.85


@pytest.mark.parametrize("n_rows", [2, 3, 16])
def test_a_map_of_few_rows_is_drawn(n_rows):
    X = np.random.default_rng(0).normal(size=(n_rows, 4))
    codes = MapAutoencoder(max_epochs=1, random_state=0).fit(X).transform(X)
    assert codes.shape == (n_rows, 2)
    assert len(np.unique(codes.round(3), axis=0)) == n_rows


def test_more_axes_than_columns_and_nothing_but_doubles_are_drawn():
    wide = MapAutoencoder(3, max_epochs=1, random_state=0).fit(np.arange(40.0).reshape(20, 2))
    assert np.isfinite(wide.transform(np.ones((2, 2)))).all()
    same = MapAutoencoder(max_epochs=1, random_state=0).fit(np.ones((30, 3)))
    assert np.isfinite(same.transform(np.ones((2, 3)))).all()


def test_a_mixed_table_with_gaps_comes_back_from_its_map(tmp_path):
    rng = np.random.default_rng(0)
    kind = rng.choice(["tea", "coffee"], 200)
    price = np.where(kind == "tea", 2.0, 4.0) + rng.normal(scale=0.1, size=200)
    price[::9] = np.nan
    table = pd.DataFrame({"kind": kind, "price": price})
    model = MapAutoencoder(max_epochs=20, random_state=0).fit(table)

    rebuilt = model.reconstruct(table)
    assert (rebuilt["kind"] == kind).mean() > 0.95
    assert np.isfinite(rebuilt["price"]).all()

    model.save(tmp_path / "map.safetensors")
    again = load(tmp_path / "map.safetensors")
    np.testing.assert_array_equal(again.transform(table), model.transform(table))


def test_the_decoder_costs_little_against_an_autoencoder_that_only_rebuilds(digits, model):
    X, _, strangers, _ = digits
    plain = Autoencoder(2, max_epochs=40, random_state=0).fit(X)
    errors = [np.square(strangers - m.reconstruct(strangers)).mean() for m in (model, plain)]
    assert errors[0] < 1.2 * errors[1]


def test_a_corruption_is_refused():
    with pytest.raises(ParameterError, match="corruption must be None for a MapAutoencoder"):
        MapAutoencoder(corruption=Masking()).fit(np.eye(20))
