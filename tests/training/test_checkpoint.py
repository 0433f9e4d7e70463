"""A training that ends before its time goes on where it was, to the bit, or says why it cannot."""

import errno
import os
import signal
import threading
import time
import warnings

import numpy as np
import pytest
from sklearn.base import clone

from latently import (
    AnomalyDetector,
    Autoencoder,
    ConvolutionalAutoencoder,
    DenoisingAutoencoder,
    DenseNetwork,
    ImputationAutoencoder,
    MapAutoencoder,
    SparseAutoencoder,
    UNetAutoencoder,
    VariationalAutoencoder,
    checkpointing,
    fit_seeds,
    load,
)
from latently.exceptions import DataError, ModelFileError, ParameterError, TrainingWarning
from latently.io import TableDataset, write
from latently.io._model_file import read_model, write_model
from latently.training import _checkpoint, remove_checkpoint
from latently.training._run import Run
from tests.contract.samples import assert_same_answers, matrix, same, stack, transactions
from tests.training import killed

pytestmark = [pytest.mark.long, pytest.mark.trust("training")]

X = matrix(120, 5)


class Killed(BaseException):
    """Stands for a process that is gone: nothing catches it."""


def weights(model):
    return {name: w.numpy() for name, w in model.module_.state_dict().items()}


def die_after(monkeypatch, n_steps):
    """Save after so many steps and end there, as often as training begins again."""
    pause, left = Run._check_stop, [n_steps]

    def save_and_die(run):
        pause(run)
        left[0] -= 1
        if left[0] < 0:
            left[0] = n_steps
            run.save()
            raise Killed

    monkeypatch.setattr(Run, "_check_stop", save_and_die)


def until_done(fit):
    """Begin again until it comes to an end; return how often it was killed."""
    for n_deaths in range(1000):
        try:
            return fit(), n_deaths
        except Killed:
            pass
    raise AssertionError("it never comes to an end")


MODELS = {
    "plain": (Autoencoder(2, max_epochs=12, random_state=0), X),
    "size of the code": (Autoencoder(max_epochs=12, random_state=0), X),
    "refitted": (Autoencoder(2, max_epochs=12, refit=True, random_state=0), X),
    "dropout, batch normalisation": (
        Autoencoder(
            2,
            network=DenseNetwork((8,), normalization="batch", dropout=0.2),
            max_epochs=12,
            random_state=0,
        ),
        X,
    ),
    "eager": (Autoencoder(2, max_epochs=8, random_state=0), X),
    "variational": (VariationalAutoencoder(2, max_epochs=12, random_state=0), X),
    "importance": (VariationalAutoencoder(2, n_importance=3, max_epochs=12, random_state=0), X),
    "sparse": (SparseAutoencoder(max_epochs=12, random_state=0), X),
    "denoising": (DenoisingAutoencoder(2, max_epochs=12, random_state=0), X),
    "map": (MapAutoencoder(2, max_epochs=12, random_state=0), X),
    "masked": (ImputationAutoencoder(max_epochs=16, n_trees=4, random_state=0), X),
    "table": (Autoencoder(2, max_epochs=12, random_state=0), transactions("pandas")),
    "images": (ConvolutionalAutoencoder(2, max_epochs=20, random_state=0), stack(40, 6, 6)),
    "patches": (UNetAutoencoder(channels=(4, 8), max_epochs=60, random_state=0), stack(40, 16, 16)),
}


@pytest.mark.parametrize("case", MODELS)
def test_a_training_that_was_killed_ends_with_the_weights_of_one_that_was_not(
    case, tmp_path, monkeypatch
):
    model, rows = MODELS[case]
    through = clone(model).fit(rows)
    die_after(monkeypatch, 25)
    resumed, n_deaths = until_done(lambda: clone(model).fit(rows, checkpoint=tmp_path))
    assert n_deaths >= 2
    assert all(same(w, weights(resumed)[name]) for name, w in weights(through).items())
    assert resumed.history_ == through.history_
    assert_same_answers(through, resumed, rows)


def test_rows_on_disk_are_read_on_from_where_the_training_was(tmp_path, monkeypatch):
    write(transactions("pyarrow"), tmp_path / "rows.parquet")
    model = Autoencoder(2, max_epochs=8, batch_size=8, random_state=0)
    through = clone(model).fit(TableDataset(tmp_path / "rows.parquet"))
    die_after(monkeypatch, 9)
    resumed, n_deaths = until_done(
        lambda: clone(model).fit(TableDataset(tmp_path / "rows.parquet"), checkpoint=tmp_path / "c")
    )
    assert n_deaths >= 2
    assert all(same(w, weights(resumed)[name]) for name, w in weights(through).items())


def test_functions_are_compared_by_their_names(tmp_path, monkeypatch):
    def fit():
        def louder(values, observed):
            return values + 0.1, observed

        return Autoencoder(2, corruption=louder, max_epochs=12, random_state=0).fit(
            X, checkpoint=tmp_path
        )

    through = Autoencoder(2, corruption=lambda v, o: (v + 0.1, o), max_epochs=12, random_state=0)
    die_after(monkeypatch, 25)
    resumed, n_deaths = until_done(fit)
    monkeypatch.undo()
    assert n_deaths >= 1 and same(resumed.transform(X), through.fit(X).transform(X))


def test_a_task_is_resumed_within_the_block(tmp_path, monkeypatch):
    task = AnomalyDetector(autoencoder=Autoencoder(2, max_epochs=12), random_state=0)
    through = clone(task).fit(X)
    die_after(monkeypatch, 9)

    def fit():
        with checkpointing(tmp_path):
            return clone(task).fit(X)

    resumed, n_deaths = until_done(fit)
    assert n_deaths >= 2
    assert_same_answers(through, resumed, X)


def test_a_finished_training_is_not_repeated(tmp_path, monkeypatch):
    model = Autoencoder(max_epochs=12, refit=True, random_state=0)
    first = clone(model).fit(X, checkpoint=tmp_path)
    monkeypatch.setattr(Run, "advance", lambda *_: pytest.fail("it was trained again"))
    assert_same_answers(first, clone(model).fit(X, checkpoint=tmp_path), X)


def test_saving_changes_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(_checkpoint.TrainingCheckpoint, "is_due", True)
    model = VariationalAutoencoder(2, max_epochs=6, random_state=0)
    assert_same_answers(clone(model).fit(X), clone(model).fit(X, checkpoint=tmp_path), X)


def test_more_passes_go_on_from_where_fewer_ended(tmp_path):
    model = Autoencoder(2, max_epochs=5, patience=None, random_state=0)
    short = clone(model).fit(X, checkpoint=tmp_path)
    longer = clone(model).set_params(max_epochs=9, verbose=True).fit(X, checkpoint=tmp_path)
    n_records = len(short.history_)
    assert longer.history_.records[:n_records] == short.history_.records
    assert longer.history_.last_step == 9 * short.history_.last_step // 5


@pytest.mark.parametrize(
    ("change", "rows", "words", "error"),
    [
        ({"learning_rate": 0.1}, X, "learning_rate was 0.002, now it is 0.1", ParameterError),
        ({"n_components": 3}, X, "n_components was 2, now it is 3", ParameterError),
        ({"random_state": 1}, X, "random_state was 0, now it is 1", ParameterError),
        ({"network": DenseNetwork((3,))}, X, "network was None, now it is Dense", ParameterError),
        ({}, X[:100], "was trained on 120 rows of 5 .* now there are 100", DataError),
        ({}, X[:, :4], "now there are 120 rows of 4", DataError),
        ({}, X + 1e-6, "the values of the rows are different", DataError),
    ],
    ids=lambda value: str(value)[:30] if isinstance(value, dict | str) else "",
)
def test_a_checkpoint_of_another_fit_is_refused_and_stays(change, rows, words, error, tmp_path):
    model = Autoencoder(2, max_epochs=3, random_state=0).fit(X, checkpoint=tmp_path)
    kept = {path: path.read_bytes() for path in tmp_path.glob("*.safetensors")}
    with pytest.raises(error, match=words) as caught:
        clone(model).set_params(**change).fit(rows, checkpoint=tmp_path)
    assert len(str(caught.value)) <= 300
    assert {path: path.read_bytes() for path in tmp_path.glob("*.safetensors")} == kept


def test_renamed_columns_are_another_fit(tmp_path):
    table = transactions("pandas")
    model = Autoencoder(2, max_epochs=3, random_state=0).fit(table, checkpoint=tmp_path)
    renamed = table.rename(columns={table.columns[0]: "other"})
    with pytest.raises(DataError, match="the model or its columns are different"):
        clone(model).fit(renamed, checkpoint=tmp_path)


# ---------------------------------------------------------------- what happens to the files
def half_trained(tmp_path, monkeypatch, n_deaths=2):
    """Leave two generations of a training behind."""
    model = Autoencoder(2, max_epochs=30, random_state=0)
    with monkeypatch.context() as patched:
        die_after(patched, 30)
        for _ in range(n_deaths):
            with pytest.raises(Killed):
                clone(model).fit(X, checkpoint=tmp_path)
    return model, sorted(tmp_path.glob("*.safetensors"), key=lambda path: path.stat().st_mtime_ns)


@pytest.mark.parametrize("damage", ["truncated", "flipped", "empty"])
def test_a_damaged_newest_file_gives_way_to_the_one_before(damage, tmp_path, monkeypatch):
    model, (_, newest) = half_trained(tmp_path, monkeypatch)
    content = newest.read_bytes()
    flipped = content[:-9] + bytes([content[-9] ^ 1]) + content[-8:]
    newest.write_bytes({"truncated": content[:-100], "flipped": flipped, "empty": b""}[damage])
    with pytest.warns(TrainingWarning, match="The previous checkpoint is used"):
        resumed = clone(model).fit(X, checkpoint=tmp_path)
    assert_same_answers(clone(model).fit(X), resumed, X)


def test_two_damaged_files_are_refused_and_kept(tmp_path, monkeypatch):
    model, files = half_trained(tmp_path, monkeypatch)
    for path in files:
        path.write_bytes(path.read_bytes()[:-1])
    kept = [path.read_bytes() for path in files]
    with pytest.raises(ModelFileError) as caught:
        clone(model).fit(X, checkpoint=tmp_path)
    assert caught.value.reason == "truncated"
    assert [path.read_bytes() for path in files] == kept


def test_a_checkpoint_is_no_model_and_a_model_no_checkpoint(tmp_path, monkeypatch):
    model, files = half_trained(tmp_path, monkeypatch)
    with pytest.raises(ModelFileError, match="checkpoint of a training") as caught:
        load(files[0])
    assert caught.value.reason == "class"
    fitted = clone(model).fit(X)
    for path in files:
        fitted.save(path)
    with pytest.raises(ModelFileError, match="contains a model, not a checkpoint"):
        clone(model).fit(X, checkpoint=tmp_path)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("step", "ten"),
        ("weights", {"~dict": {}}),
        ("optimizer", {"~dict": {}}),
        ("chance", []),
        ("history", [1]),
    ],
)
def test_a_forged_state_is_refused(name, value, tmp_path, monkeypatch):
    model, files = half_trained(tmp_path, monkeypatch)
    for path in files:
        config, arrays = read_model(path)
        config["~checkpoint"]["~dict"]["state"]["~dict"][name] = value
        write_model(path, config, arrays)
    with pytest.raises(ModelFileError, match="does not fit this training") as caught:
        clone(model).fit(X, checkpoint=tmp_path)
    assert caught.value.reason == "config"


@pytest.mark.parametrize("folder", [3, True, ["run"]], ids=str)
def test_a_value_that_is_not_a_folder_name_is_refused(folder):
    with pytest.raises(ParameterError, match="checkpoint must be the name of a folder"):
        Autoencoder(2).fit(X, checkpoint=folder)


def test_one_folder_serves_one_fit_at_a_time(tmp_path):
    with checkpointing(tmp_path):
        said = []

        def other():
            try:
                Autoencoder(2).fit(X, checkpoint=tmp_path)
            except DataError as error:
                said.append(str(error))

        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
    assert f"process {os.getpid()} trains in this checkpoint folder" in said[0]


def test_the_lock_of_a_process_that_is_gone_is_taken_over(tmp_path):
    tmp_path.joinpath("lock").write_text("999999")
    Autoencoder(2, max_epochs=1).fit(X, checkpoint=tmp_path)


@pytest.mark.parametrize("place", ["file", "nul\0"])
def test_a_folder_that_cannot_be_is_refused_before_training(place, tmp_path, monkeypatch):
    monkeypatch.setattr(Run, "advance", lambda *_: pytest.fail("it was trained"))
    (tmp_path / "file").write_text("mine")
    with pytest.raises(DataError, match="checkpoints cannot be written here") as caught:
        Autoencoder(2).fit(X, checkpoint=f"{tmp_path}/{place}")
    assert len(str(caught.value)) <= 300
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.skipif(os.geteuid() == 0, reason="needs a user whom permissions bind")
def test_a_folder_that_may_not_be_written_is_refused_before_training(tmp_path, monkeypatch):
    monkeypatch.setattr(Run, "advance", lambda *_: pytest.fail("it was trained"))
    tmp_path.chmod(0o500)
    with pytest.raises(DataError, match="permission denied"):
        Autoencoder(2).fit(X, checkpoint=tmp_path)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO, errno.EDQUOT])
def test_where_a_checkpoint_cannot_be_written_training_goes_on_and_the_old_one_stays(
    number, tmp_path, monkeypatch
):
    model, files = half_trained(tmp_path, monkeypatch)
    kept = [path.read_bytes() for path in files]

    def fail(handle):
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", fail)
        with pytest.warns(TrainingWarning, match="No checkpoint was written. Training continues"):
            resumed = clone(model).fit(X, checkpoint=tmp_path)
    assert_same_answers(clone(model).fit(X), resumed, X)
    assert [path.read_bytes() for path in files] == kept
    assert not list(tmp_path.glob(".latently-*"))


def test_the_warning_of_a_full_disk_states_sizes(tmp_path, monkeypatch):
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("Usage", (), {"free": 3000}))
    with pytest.warns(TrainingWarning, match=r"needs about .* KiB of disk, 2.9 KiB are free"):
        Autoencoder(2, max_epochs=1).fit(X, checkpoint=tmp_path)


def test_another_machine_is_warned_of(tmp_path, monkeypatch):
    model, _ = half_trained(tmp_path, monkeypatch)
    monkeypatch.setattr("torch.__version__", "1.0")
    with pytest.warns(TrainingWarning, match=r"written on another system \(torch .* -> 1.0\)"):
        clone(model).fit(X, checkpoint=tmp_path)


def test_a_folder_is_cleared_of_our_own_files_only(tmp_path, monkeypatch):
    half_trained(tmp_path, monkeypatch)
    (tmp_path / "notes.txt").write_text("mine")
    remove_checkpoint(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_models_that_are_trained_at_once_are_not_saved(tmp_path):
    with checkpointing(tmp_path):
        fit_seeds(Autoencoder(2, max_epochs=200, random_state=0), X, 2)
    assert {path.name for path in tmp_path.iterdir()} <= {"lock"}


# ---------------------------------------------------------------- signals and limits
def after_some_steps(monkeypatch, act):
    """Do something once, in the middle of the tenth step."""
    descend, left = Run.learning_rate, [10]

    def act_then_go_on(run):
        left[0] -= 1
        if left[0] == 0:
            act(run)
        return descend(run)

    monkeypatch.setattr(Run, "learning_rate", act_then_go_on)


def test_a_first_ctrl_c_ends_the_step_and_the_checkpoint_resumes(tmp_path, monkeypatch):
    model = Autoencoder(2, max_epochs=30, random_state=0)
    through = clone(model).fit(X)
    with monkeypatch.context() as patched:
        after_some_steps(patched, lambda _: os.kill(os.getpid(), signal.SIGINT))
        with pytest.warns(TrainingWarning, match="was interrupted"):
            stopped = clone(model).fit(X, checkpoint=tmp_path)
    assert stopped.interrupted_ and stopped.history_.stopped == "interrupted"
    assert np.isfinite(stopped.score_samples(X)).all()
    assert_same_answers(through, clone(model).fit(X, checkpoint=tmp_path), X)


def test_a_second_ctrl_c_does_not_wait_for_the_step(monkeypatch):
    reached = []

    def twice(run):
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)
        reached.append(run.step)

    after_some_steps(monkeypatch, twice)
    with pytest.warns(TrainingWarning, match="was interrupted"):
        Autoencoder(2, max_epochs=30, random_state=0).fit(X)
    assert not reached


def test_the_handlers_of_the_caller_are_put_back(monkeypatch):
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    Autoencoder(2, max_epochs=2, random_state=0).fit(X)
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


def test_training_ends_at_its_time_limit_within_a_step(tmp_path, monkeypatch):
    model = Autoencoder(2, max_epochs=30, random_state=0)
    clock = [0.0]
    with monkeypatch.context() as patched:
        after_some_steps(patched, lambda _: clock.__setitem__(0, 60.0))
        patched.setattr(time, "monotonic", lambda: clock[0])
        with pytest.warns(TrainingWarning, match="ended at its time limit. The weights of step 10"):
            stopped = clone(model).set_params(time_limit=30).fit(X, checkpoint=tmp_path)
    assert stopped.history_.stopped == "time limit" and not stopped.interrupted_
    assert np.isfinite(stopped.score_samples(X)).all()
    assert_same_answers(clone(model).fit(X), clone(model).fit(X, checkpoint=tmp_path), X)


def test_models_that_are_trained_at_once_end_at_their_time_limit():
    model = Autoencoder(2, max_epochs=3000, patience=None, time_limit=0.2, random_state=0)
    with pytest.warns(TrainingWarning, match="ended at its time limit"):
        models = fit_seeds(model, X, 2)
    assert [model.history_.stopped for model in models] == ["time limit"] * 2


def test_a_clock_that_is_set_back_changes_nothing(tmp_path, monkeypatch):
    model = Autoencoder(2, max_epochs=5, time_limit=100, random_state=0)
    through = clone(model).fit(X)
    hours = iter(range(10**6, 0, -1))
    monkeypatch.setattr(time, "time", lambda: 3600.0 * next(hours))
    assert_same_answers(through, clone(model).fit(X, checkpoint=tmp_path), X)


# ---------------------------------------------------------------- kill -9
def expected(name):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return killed.digest(clone(killed.MODELS[name]).fit(killed.X))


def test_killed_at_any_call_to_the_system_it_goes_on_to_the_same_weights(tmp_path):
    wanted = expected("plain")
    assert killed.run("plain", tmp_path / "whole", tmp_path / "answer")
    found, n_calls = (tmp_path / "answer").read_text().split()
    assert found == wanted
    every = np.random.default_rng(0).permutation(int(n_calls)) + 1
    for call in [1, int(n_calls), *every[:12].tolist()]:
        folder, answer = tmp_path / f"{call}", tmp_path / f"answer {call}"
        assert not killed.run("plain", folder, answer, call)
        assert killed.run("plain", folder, answer)
        assert answer.read_text().split()[0] == wanted


@pytest.mark.slow
def test_killed_at_every_call_to_the_system_it_goes_on_to_the_same_weights(tmp_path):
    for name in killed.MODELS:
        wanted = expected(name)
        assert killed.run(name, tmp_path / name, tmp_path / "answer")
        n_calls = int((tmp_path / "answer").read_text().split()[1])
        for call in range(1, n_calls + 1):
            folder, answer = tmp_path / f"{name} {call}", tmp_path / f"{name} answer {call}"
            assert not killed.run(name, folder, answer, call)
            assert killed.run(name, folder, answer)
            assert answer.read_text().split()[0] == wanted


def killed_at_random(name, tmp_path, n_kills, seed=0):
    """Kill a fit at random moments, over and over again, until it was killed so often."""
    rng, n_done, wanted = np.random.default_rng(seed), 0, expected(name)
    while n_done < n_kills:
        folder, patience = tmp_path / f"{seed} {n_done}", 0.6
        while not killed.run(name, folder, tmp_path / "answer", after=rng.uniform(0.05, patience)):
            n_done += 1
            patience *= 1.3  # a slow machine must come to an end, too
        assert (tmp_path / "answer").read_text().split()[0] == wanted
        n_done += 1


def test_killed_at_some_moments_it_goes_on_to_the_same_weights(tmp_path):
    killed_at_random("drawing", tmp_path, 8)


@pytest.mark.slow
@pytest.mark.parametrize("name", killed.MODELS)
def test_killed_at_a_hundred_moments_it_goes_on_to_the_same_weights(name, tmp_path):
    killed_at_random(name, tmp_path, 100)
