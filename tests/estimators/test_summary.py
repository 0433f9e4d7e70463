"""History, baselines, summary and warnings of a fit."""

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.decomposition import PCA
from torch import nn

from latently import AnomalyDetector, Autoencoder, CustomNetwork, DenseNetwork, Masking
from latently.estimators.fit._split import split_rows
from latently.exceptions import DivergenceError, TrainingWarning
from latently.preprocessing import canonical_order
from latently.training import Record
from tests.contract.estimators import AUTOENCODERS
from tests.contract.samples import matrix, same, transactions

QUICK = {"random_state": 0, "engine": "cpu"}


# ---------------------------------------------------------------- history
@pytest.mark.parametrize("model", AUTOENCODERS, ids=str)
def test_the_history_has_a_row_an_evaluation_and_a_column_a_fact(model):
    history = clone(model).set_params(max_epochs=5).fit(matrix(100)).history_
    for name in ("step", "epoch", "train_loss", "valid_loss", "learning_rate", "seconds"):
        assert history[name].shape == (len(history),)
        assert np.isfinite(history[name]).all()
    assert (np.diff(history["step"]) > 0).all() and (np.diff(history["seconds"]) >= 0).all()
    assert history["epoch"][-1] == pytest.approx(5)
    assert history["step"][-1] == history.last_step
    assert history.stopped == "finished"
    assert [type(record) for record in history] == [Record] * len(history)


def test_a_column_that_does_not_exist_is_named():
    history = Autoencoder(2, max_epochs=1, **QUICK).fit(matrix()).history_
    with pytest.raises(KeyError, match=r"'train_loss'.*got 'loss'"):
        history["loss"]


def test_the_loss_comes_down():
    history = Autoencoder(2, max_epochs=30, **QUICK).fit(matrix(200)).history_
    assert history["train_loss"][-1] < history["train_loss"][0]
    assert history["valid_loss"][-1] < history["valid_loss"][0]


@pytest.mark.parametrize(("n_rows", "fraction"), [(19, 0.5), (60, 0.0)])
def test_without_validation_rows_the_training_rows_are_judged(n_rows, fraction):
    model = Autoencoder(2, max_epochs=2, validation_fraction=fraction, **QUICK).fit(matrix(n_rows))
    assert same(model.history_["valid_loss"], model.history_["train_loss"])
    assert (model.baselines_.rows, model.baselines_.n_rows) == ("training", n_rows)


# ---------------------------------------------------------------- early stopping
def noise(n_rows=100):
    return np.random.default_rng(0).normal(size=(n_rows, 8))


def overfitted(**options):
    network = DenseNetwork((64,))
    model = Autoencoder(
        4, network=network, max_epochs=200, patience=3, learning_rate=0.02, weight_decay=0.0
    )
    return model.set_params(**QUICK, **options).fit(noise())


def test_training_stops_when_the_validation_loss_gets_no_better():
    history = overfitted().history_
    assert history.stopped == "early stopping"
    assert history.last_step < 200 * 6
    best = int(np.argmin(history["valid_loss"]))  # it may be the last, after cooling down
    assert history.best_step == history["step"][best]


def test_the_weights_of_the_best_evaluation_come_back():
    model = overfitted()
    X = noise()[canonical_order(noise()).places]
    held_out = X[split_rows(100, 0.1, _seed_of(model)).valid.numpy()]
    # Half deviance plus half the logarithm of 2 pi: nats a column of a standard normal cell.
    loss = model.reconstruction_error(held_out).mean() + 0.5 * np.log(2 * np.pi)
    assert loss == pytest.approx(model.history_["valid_loss"].min(), rel=1e-4)


def _seed_of(model):
    return model._next_seed - 1


def test_no_patience_trains_to_the_end():
    history = overfitted(patience=None, max_epochs=20).history_
    assert history.stopped == "finished"
    assert history["epoch"][-1] == pytest.approx(20)


# ---------------------------------------------------------------- baselines
@pytest.mark.parametrize("n_components", [1, 2, 4])
def test_baselines_are_the_mean_and_the_pca_of_the_same_rows(n_components):
    X = matrix(200, 6, noise=0.5)
    model = Autoencoder(n_components, max_epochs=2, **QUICK).fit(X)
    encoded = model.preprocessor_.encode(X[canonical_order(X).places])[0]
    split = split_rows(200, 0.1, _seed_of(model))
    train, valid = encoded[split.train.numpy()], encoded[split.valid.numpy()]
    pca = PCA(n_components).fit(train)
    rebuilt = pca.inverse_transform(pca.transform(valid))
    assert model.baselines_.pca == pytest.approx(np.square(rebuilt - valid).mean(), rel=1e-4)
    assert model.baselines_.mean == pytest.approx(np.square(train.mean(0) - valid).mean(), rel=1e-4)
    assert (model.baselines_.rows, model.baselines_.n_rows) == ("validation", 20)


def test_the_models_own_error_is_measured_on_the_same_rows():
    X = matrix(200, 6)
    model = Autoencoder(2, max_epochs=5, **QUICK).fit(X)
    ordered = X[canonical_order(X).places]
    valid = ordered[split_rows(200, 0.1, _seed_of(model)).valid.numpy()]
    error = 2 * model.reconstruction_error(valid).mean()
    assert model.baselines_.autoencoder == pytest.approx(error, rel=1e-3)


def test_baselines_leave_missing_cells_out():
    X = matrix(200)
    X[np.random.default_rng(0).random(X.shape) < 0.2] = np.nan
    baselines = Autoencoder(2, max_epochs=2, **QUICK).fit(X).baselines_
    assert 0.5 < baselines.mean < 2
    assert 0 < baselines.pca < baselines.mean


@pytest.mark.parametrize("n_components", [5, 9])
def test_as_many_components_as_columns_leave_a_pca_no_error(n_components):
    baselines = Autoencoder(n_components, max_epochs=1, **QUICK).fit(matrix()).baselines_
    assert baselines.pca == pytest.approx(0, abs=1e-9)
    assert baselines.n_components == 5
    assert str(baselines)


# ---------------------------------------------------------------- summary
def test_the_summary_says_when_a_pca_does_as_well():
    X = matrix(400, 8, noise=0.3)
    model = Autoencoder(2, network=DenseNetwork(()), **QUICK).fit(X)
    assert "PCA of the same size is as good" in model.summary()


def test_the_summary_says_when_the_network_is_worth_it():
    angle = np.random.default_rng(0).uniform(0, 2 * np.pi, 400)
    X = np.column_stack([np.cos(angle), np.sin(angle), np.cos(2 * angle), np.sin(2 * angle)])
    assert "below PCA" in Autoencoder(2, **QUICK).fit(X).summary()


def test_the_summary_says_when_the_column_means_do_as_well():
    model = Autoencoder(1, max_epochs=1, learning_rate=1e-9, **QUICK).fit(noise())
    assert (
        "worse than the column means" in model.summary()
        or "PCA of the same size" in model.summary()
    )


@pytest.mark.parametrize("model", AUTOENCODERS, ids=str)
@pytest.mark.parametrize("rows", [matrix(), transactions("polars")], ids=["numbers", "table"])
def test_the_summary_counts_columns_components_weights_and_steps(model, rows):
    fitted = clone(model).fit(rows)
    n_weights = sum(weight.numel() for weight in fitted.module_.parameters())
    n_columns = rows.shape[1]
    first, second, third = fitted.summary().splitlines()
    assert (
        f"{n_columns} columns -> {fitted.n_components_} components, {n_weights:,} parameters"
        in first
    )
    assert f"trained for {fitted.history_.last_step:,} steps ({fitted.history_.stopped})" in second
    assert third == str(fitted.baselines_)


# ---------------------------------------------------------------- trouble
class Poison(nn.Module):
    """Layer that returns NaN after some batches."""

    def __init__(self, layer, sound_batches):
        super().__init__()
        self.layer = layer
        self.left = sound_batches

    def forward(self, rows):
        self.left -= self.training
        return self.layer(rows) + (torch.nan if self.left < 0 else 0.0)


@pytest.mark.filterwarnings("ignore::latently.exceptions.TrainingWarning")
@pytest.mark.parametrize("learning_rate", [1e10, 1e30])
@pytest.mark.parametrize("gradient_clip", [1.0, None])
def test_a_learning_rate_that_is_much_too_large_says_so(learning_rate, gradient_clip):
    model = Autoencoder(
        2, learning_rate=learning_rate, gradient_clip=gradient_clip, max_epochs=50, **QUICK
    )
    with pytest.raises(DivergenceError, match="learning_rate") as caught:
        model.fit(matrix(200))
    assert len(str(caught.value)) <= 300


@pytest.mark.parametrize("sound_batches", [0, 5])
def test_a_custom_module_that_answers_nan_is_told_so(sound_batches):
    network = CustomNetwork(Poison(nn.Linear(5, 2), sound_batches), nn.Linear(2, 5))
    with pytest.raises(DivergenceError, match="diverged 4 times"):
        Autoencoder(2, network=network, max_epochs=10, **QUICK).fit(matrix(200))


class Stumbles(nn.Module):
    """Layer that returns NaN in one part of the training."""

    def __init__(self, layer, bad_batch):
        super().__init__()
        self.layer = layer
        self.left = bad_batch

    def forward(self, rows):
        self.left -= self.training
        return self.layer(rows) + (torch.nan if self.left == 0 and self.training else 0.0)


def test_one_bad_batch_is_rolled_back_and_told():
    network = CustomNetwork(Stumbles(nn.Linear(5, 2), 40), nn.Linear(2, 5))
    model = Autoencoder(2, network=network, max_epochs=20, **QUICK)
    with pytest.warns(TrainingWarning, match="rolled back to step .* and halved the learning rate"):
        model.fit(matrix(200))
    assert len(model.history_.events) == 1
    assert model.history_.stopped == "finished"
    assert np.isfinite(model.score_samples(matrix(200))).all()


def interrupting(after):
    """Return a corruption that raises KeyboardInterrupt after some batches."""
    seen = 0

    def corrupt(values, observed):
        nonlocal seen
        seen += 1
        if seen > after:
            raise KeyboardInterrupt
        return values, observed

    return corrupt


@pytest.mark.parametrize("after", [0, 3, 60])
def test_an_interrupted_fit_leaves_a_model_that_answers(after):
    model = Autoencoder(2, corruption=interrupting(after), max_epochs=20, **QUICK)
    with pytest.warns(TrainingWarning, match="interrupted"):
        model.fit(matrix(200))
    assert model.interrupted_ is True
    assert model.history_.stopped == "interrupted"
    assert "(interrupted)" in model.summary()
    assert np.isfinite(model.score_samples(matrix(200))).all()
    assert model.sample(3).shape == (3, 5)


def test_an_interrupted_chunk_leaves_a_model_that_answers():
    model = Autoencoder(2, corruption=interrupting(3), **QUICK)
    with pytest.warns(TrainingWarning, match="interrupted"):
        model.partial_fit(matrix(200))
    assert model.interrupted_ is True
    assert np.isfinite(model.score_samples(matrix())).all()


def test_an_interrupted_model_can_be_saved_and_loaded(tmp_path):
    from latently import load

    model = Autoencoder(2, corruption=interrupting(30), max_epochs=20, **QUICK)
    with pytest.warns(TrainingWarning, match="interrupted"):
        model.fit(matrix(200))
    model.set_params(corruption=Masking()).save(tmp_path / "m")
    assert load(tmp_path / "m").interrupted_ is True


def test_the_next_fit_forgets_the_interruption():
    model = Autoencoder(2, corruption=interrupting(3), max_epochs=20, **QUICK)
    with pytest.warns(TrainingWarning, match="interrupted"):
        model.fit(matrix(200))
    assert model.set_params(corruption=None, max_epochs=1).fit(matrix(200)).interrupted_ is False


def test_an_interruption_inside_a_task_is_passed_on_as_a_warning():
    detector = AnomalyDetector(
        autoencoder=Autoencoder(2, max_epochs=20, engine="cpu", corruption=Interrupt()),
        random_state=0,
    )
    with pytest.warns(TrainingWarning, match="interrupted"):
        detector.fit(matrix(200))
    assert set(detector.predict(matrix(200))) <= {-1, 1}


class Interrupt:
    """Raise KeyboardInterrupt at the first call."""

    def __call__(self, values, observed):
        raise KeyboardInterrupt


def test_the_bar_is_shown_on_stderr_only_when_asked(capfd):
    Autoencoder(2, max_epochs=1, **QUICK).fit(matrix())
    assert capfd.readouterr() == ("", "")
    Autoencoder(2, max_epochs=1, verbose=True, **QUICK).fit(matrix())
    out, err = capfd.readouterr()
    assert out == "" and "100%" in err
