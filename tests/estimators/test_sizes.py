"""Number of components: recovery of the truth, reasons of the selection, and cuts of a code."""

import numpy as np
import pytest
from sklearn.base import clone

from latently import Autoencoder, ConvolutionalAutoencoder, DenoisingAutoencoder, load
from latently.estimators import ComponentsCurve
from latently.exceptions import DataError, ParameterError, TrainingWarning
from tests.contract.samples import matrix, same, stack

QUICK = {"max_epochs": 3, "random_state": 0, "engine": "cpu"}


def linear_mix(size, n_rows=300, n_columns=12, noise=0.02):
    """Return rows that are mixtures of ``size`` latent factors."""
    rng = np.random.default_rng(size)
    causes = rng.uniform(-1, 1, (n_rows, size))
    rows = causes @ rng.normal(size=(size, n_columns))
    return rows / rows.std(0) + noise * rng.normal(size=rows.shape)


# ------------------------------------------------------------------ the choice
@pytest.mark.parametrize(
    ("errors", "size", "reason"),
    [
        ([0.6, 0.3, 0.02, 0.018, 0.017, 0.016], 3, "bend"),
        ([0.5, 0.25, 0.12, 0.06, 0.03, 0.015], 4, "share"),
        ([0.9, 0.8, 0.7, 0.64, 0.62, 0.61], 4, "best"),
        ([0.05], 1, "share"),
        ([1.0, 1.0, 1.0], 1, "best"),
        # Columns that follow from others leave nothing at full size: no bend either.
        ([0.6, 0.4, 0.25, 0.15, 0.09, 0.05, 0.03, 0.02, 0.012, 1e-14], 5, "share"),
        # A bend far from a good reconstruction is none to stop at.
        ([0.5, 0.48, 0.3, 0.2, 0.12, 0.08], 6, "share"),
    ],
)
def test_the_size_is_where_the_curve_bends_or_a_tenth_is_left(errors, size, reason):
    curve = ComponentsCurve.choose(np.array(errors))
    assert (curve.n_components, curve.reason) == (size, reason)
    assert str(curve).startswith(f"{size} components")


def test_errors_of_zero_have_a_size():
    assert ComponentsCurve.choose(np.array([0.5, 0.0, 0.0, 0.0])).n_components == 2


@pytest.mark.parametrize("size", [2, 5])
def test_the_number_of_causes_is_found_within_one(size):
    model = Autoencoder(random_state=0, engine="cpu").fit(linear_mix(size))
    assert abs(model.n_components_ - size) <= 1
    assert model.components_curve_.reason == "bend"
    assert f"{model.n_components_} components, where the curve bends" in model.summary()


def test_a_size_that_was_found_trains_as_a_size_that_was_given():
    rows = linear_mix(3)
    found = Autoencoder(random_state=0, engine="cpu", effort="fast").fit(rows)
    given = clone(found).set_params(n_components=found.n_components_).fit(rows)
    assert same(found.transform(rows), given.transform(rows))
    assert not hasattr(given, "components_curve_")


def test_too_few_rows_to_hold_any_out_are_sized_by_pca():
    model = Autoencoder(**QUICK).fit(linear_mix(2, n_rows=15))
    assert model.n_components_ == 2
    assert not hasattr(model, "components_curve_")


def test_pairs_are_sized_by_pca():
    rows = linear_mix(2, n_rows=60)
    model = DenoisingAutoencoder(**QUICK, ordered=True).fit(rows + 0.1, rows)
    assert model.n_components_ == 2
    assert not hasattr(model, "components_curve_") and model.cut(1).n_components_ == 1


@pytest.mark.parametrize("kind", [DenoisingAutoencoder, ConvolutionalAutoencoder])
def test_every_plain_kind_finds_its_size(kind):
    rows = stack(40, 6, 6) if kind is ConvolutionalAutoencoder else linear_mix(2, n_rows=60)
    model = kind(**QUICK).fit(rows)
    assert model.n_components_ == model.components_curve_.n_components


def test_a_curve_does_not_outlive_its_fit():
    model = Autoencoder(**QUICK).fit(linear_mix(2, n_rows=60))
    assert hasattr(model, "components_curve_")
    model.set_params(n_components=2).fit(linear_mix(2, n_rows=60))
    assert not hasattr(model, "components_curve_")


def test_an_interrupted_trial_is_kept_as_the_model(monkeypatch):
    from latently.training import ProgressBar

    def interrupt(self, record):
        raise KeyboardInterrupt

    monkeypatch.setattr(ProgressBar, "on_evaluation", interrupt)
    rows = linear_mix(2, n_rows=60)
    with pytest.warns(TrainingWarning, match="interrupted"):
        model = Autoencoder(**QUICK, verbose=True).fit(rows)
    assert model.interrupted_ and not model.ordered
    assert model.transform(rows).shape == (60, model.n_components_)


# ------------------------------------------------------------------ cutting
def ordered(**changes):
    return Autoencoder(4, ordered=True, **{**QUICK, "max_epochs": 40, **changes})


def test_the_first_components_say_most():
    errors = ordered(max_epochs=150).fit(linear_mix(4)).components_curve_.errors
    assert np.all(np.diff(errors) < 0)
    assert errors[3] < 0.1 < errors[0] < 0.9


def test_a_cut_code_is_the_beginning_of_the_whole_one():
    rows = linear_mix(4)
    whole = ordered().fit(rows)
    part = whole.cut(2)
    assert same(part.transform(rows), whole.transform(rows)[:, :2])
    padded = np.pad(part.transform(rows), ((0, 0), (0, 2)))
    assert same(part.reconstruct(rows), whole.inverse_transform(padded))
    assert whole.n_components_ == 4 and part.get_params()["n_components"] == 2
    assert part.cut(1).transform(rows).shape == (300, 1)


def test_a_cut_model_is_as_good_as_its_curve_said():
    rows = linear_mix(4, n_rows=900)
    whole = ordered(max_epochs=40).fit(rows)
    errors = whole.components_curve_.errors
    assert whole.cut(2).score(rows) == pytest.approx(1 - errors[1], abs=0.05)


def test_a_cut_model_draws_codes_like_those_of_its_rows():
    rows = linear_mix(4)
    part = ordered().fit(rows).cut(2)
    drawn = part.transform(part.sample(4_000, random_state=0))
    codes = part.transform(rows)
    assert np.cov(drawn.T) == pytest.approx(np.cov(codes.T), rel=0.3, abs=0.1)


def test_a_cut_model_is_saved_and_learns_on(tmp_path):
    rows = linear_mix(4)
    part = ordered().fit(rows).cut(2)
    part.save(tmp_path / "part.safetensors")
    loaded = load(tmp_path / "part.safetensors")
    assert same(loaded.transform(rows), part.transform(rows))
    assert loaded.components_curve_ == part.components_curve_
    assert part.partial_fit(rows).transform(rows).shape == (300, 2)
    assert same(
        clone(part).fit(rows).transform(rows),
        ordered().set_params(n_components=2).fit(rows).transform(rows),
    )


def test_what_has_no_order_is_not_cut():
    model = Autoencoder(3, **QUICK).fit(matrix())
    with pytest.raises(DataError, match="ordered=True"):
        model.cut(2)


@pytest.mark.parametrize("size", [0, 5, 1.5, "two"])
def test_a_cut_to_no_size_is_refused(size):
    with pytest.raises(ParameterError, match="n_components"):
        ordered(max_epochs=1).fit(matrix()).cut(size)
