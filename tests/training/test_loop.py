"""The loop: no row lost, best weights kept, runaway training held."""

import numpy as np
import pytest
import torch

from latently import Autoencoder, DenseNetwork
from latently.exceptions import DivergenceError, TrainingWarning
from latently.nn import Cells
from latently.training import LocalEngine, TrainingData, n_batches
from latently.training._run import Run
from latently.training._step import RecordedStep, Step

RNG = np.random.default_rng(0)
X = RNG.normal(size=(120, 2)) @ RNG.normal(size=(2, 5)) + 0.1 * RNG.normal(size=(120, 5))


@pytest.mark.parametrize("n_rows", [1, 2, 5, 16, 17, 33])
@pytest.mark.parametrize("batch_size", [1, 2, 16, 64])
def test_every_row_is_dealt_out_once_and_none_alone_in_larger_batches(n_rows, batch_size):
    data = TrainingData(Cells(torch.arange(float(n_rows))[:, None]))

    batches = list(data.batches(batch_size, torch.Generator().manual_seed(0)))

    dealt = torch.cat([batch.inputs.values for batch in batches]).unique()
    assert dealt.tolist() == list(range(n_rows))
    assert len(batches) == n_batches(n_rows, batch_size)
    if min(n_rows, batch_size) > 1:
        assert min(len(batch.inputs.values) for batch in batches) > 1


def test_a_linear_autoencoder_spans_the_subspace_of_pca():
    rng = np.random.default_rng(0)
    data = rng.normal(size=(200, 3)) @ rng.normal(size=(3, 8)) + 0.05 * rng.normal(size=(200, 8))
    data = (data - data.mean(0)) / data.std(0)
    model = Autoencoder(
        3, network=DenseNetwork(()), weight_decay=0.0, validation_fraction=0.0, patience=None,
        batch_size=200, max_epochs=3000, learning_rate=0.02, random_state=0,
    ).fit(data)  # fmt: skip

    decoder = model.module_.decoder[0].weight.detach().double().numpy()
    components = np.linalg.svd(data - data.mean(0), full_matrices=False)[2][:3]

    ours = np.linalg.qr(decoder)[0]
    cosines = np.linalg.svd(components @ ours, compute_uv=False)
    angles = np.arccos(np.clip(cosines, -1, 1))
    assert angles.max() < 1e-3


def test_the_weights_of_the_best_evaluation_are_kept():
    model = Autoencoder(2, max_epochs=30, random_state=0).fit(X)
    best = int(np.argmin(model.history_["valid_loss"]))
    assert model.history_.best_step == model.history_["step"][best]


def test_training_stops_early_when_nothing_gets_better():
    model = Autoencoder(2, max_epochs=400, patience=2, random_state=0)
    with_noise_only = np.random.default_rng(1).normal(size=(60, 5))
    history = model.fit(with_noise_only).history_
    assert history.stopped == "early stopping"
    # Two evaluations of patience and one to cool down.
    assert history["step"][-1] - history.best_step == 3 * (history["step"][1] - history["step"][0])


def test_after_a_plateau_the_learning_rate_falls_to_zero_from_the_best_weights():
    X = np.random.default_rng(0).normal(size=(100, 6))  # noise: nothing to learn for new rows
    history = Autoencoder(2, max_epochs=400, patience=4, random_state=0).fit(X).history_
    rates, losses = history["learning_rate"], history["valid_loss"]
    assert history.stopped == "early stopping"
    assert rates[-3] > 0.5 * rates.max()  # half as many evaluations as were waited for
    assert rates[-1] < 1e-6 * rates.max()
    assert losses[-1] < losses[:-2].min()
    assert history.best_step == history.last_step


def test_a_late_plateau_cools_down_within_the_steps_that_are_left():
    X = np.random.default_rng(1).normal(size=(60, 5))
    history = Autoencoder(2, max_epochs=400, patience=35, random_state=0).fit(X).history_
    assert history.last_step == 400 * 4
    assert history["learning_rate"][-1] < 1e-6 * history["learning_rate"].max()


def test_the_learning_rate_warms_up_and_comes_down_to_nothing():
    rates = (
        Autoencoder(2, max_epochs=40, patience=None, random_state=0)
        .fit(X)
        .history_["learning_rate"]
    )
    assert rates.max() <= 2e-3
    assert rates[-1] < 1e-4 * rates.max()
    assert np.argmax(rates) < 0.1 * len(rates)


class Runaway(torch.nn.Linear):
    """A layer that answers NaN after some training batches."""

    def __init__(self, n_inputs, n_outputs, healthy_batches, sick_batches):
        super().__init__(n_inputs, n_outputs)
        self.batches, self.sick = 0, range(healthy_batches, healthy_batches + sick_batches)

    def forward(self, rows):
        answer = super().forward(rows)
        if self.training:
            self.batches += 1
            if self.batches in self.sick:
                return answer * float("nan")
        return answer


def runaway_model(sick_batches):
    from latently import CustomNetwork

    network = CustomNetwork(Runaway(5, 2, 60, sick_batches), torch.nn.Linear(2, 5))
    return Autoencoder(2, network=network, max_epochs=50, random_state=0)


@pytest.mark.trust("training")
def test_a_loss_that_is_not_a_number_rolls_back_and_halves_the_rate():
    with pytest.warns(TrainingWarning, match="rolled back to step"):
        model = runaway_model(sick_batches=1).fit(X)
    assert len(model.history_.events) == 1
    assert model.history_.stopped in ("finished", "early stopping")
    assert np.isfinite(model.score_samples(X)).all()


@pytest.mark.trust("training")
def test_the_fourth_divergence_raises_with_advice():
    with pytest.raises(DivergenceError, match="learning_rate ten times smaller"):
        runaway_model(sick_batches=10**9).fit(X)


@pytest.mark.trust("training")
@pytest.mark.parametrize("records", [True, False])
def test_a_step_whose_gradient_is_infinite_is_skipped_and_counted(records, monkeypatch):
    engine = LocalEngine("cpu", records=records)
    model = Autoencoder(2, max_epochs=30, engine=engine, random_state=0)
    gradients, n_steps = Run.learning_rate, [0]

    def spoil(run):
        n_steps[0] += 1
        return gradients(run)

    monkeypatch.setattr(Run, "learning_rate", spoil)
    clip = {kind: kind.clip for kind in (Step, RecordedStep)}

    def infinite(step, longest):
        if n_steps[0] in (20, 21):
            flat = getattr(step, "flat", None)
            own = [p.grad for p in step.module.parameters()] if flat is None else flat.gradients
            for gradient in own:
                gradient.fill_(float("inf"))
        return clip[type(step)](step, longest)

    for kind in clip:
        monkeypatch.setattr(kind, "clip", infinite)
    with pytest.warns(TrainingWarning, match="2 steps skipped for a gradient that is not finite"):
        model.fit(X)
    assert len(model.history_.events) == 1 and np.isfinite(model.score_samples(X)).all()


@pytest.mark.trust("training")
def test_a_validation_loss_that_is_not_a_number_alone_rolls_back(monkeypatch):
    evaluate, n_asked = Run.evaluate, [0]

    def spoil(run, data):
        n_asked[0] += 1
        return float("nan") if n_asked[0] == 5 else evaluate(run, data)

    monkeypatch.setattr(Run, "evaluate", spoil)
    with pytest.warns(TrainingWarning, match="validation loss nan; rolled back"):
        model = Autoencoder(2, max_epochs=30, random_state=0).fit(X)
    assert np.isfinite(model.score_samples(X)).all()


def test_an_unknown_device_is_refused():
    from latently.exceptions import ParameterError

    with pytest.raises(ParameterError, match="device"):
        _ = LocalEngine("abacus").torch_device


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_fit_on_cuda_gives_the_results_of_one_on_the_cpu():
    on_cpu = Autoencoder(2, max_epochs=20, random_state=0, engine="cpu").fit(X)
    on_cuda = Autoencoder(2, max_epochs=20, random_state=0, engine="cuda").fit(X)
    np.testing.assert_allclose(on_cuda.score_samples(X), on_cpu.score_samples(X), rtol=0.2)
