"""Ray trains as one process does, answers as one does, and what goes wrong is one sentence."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from latently import Autoencoder, RayEngine
from latently.exceptions import MissingExtraError, ParameterError
from latently.training.distributed import _ray
from tests.distributed import ray_program
from tests.distributed.test_torchrun import ENV, run, write_files

pytest.importorskip("ray", reason="needs the extra ray")
pytestmark = pytest.mark.distributed
ROOT = Path(__file__).parents[2]


def run_program(folder, *names):
    command = [sys.executable, "-m", ray_program.__name__, str(folder), *names]
    told = {"env": {**ENV, "PYTHONPATH": str(ROOT)}, "timeout": 500, "cwd": ROOT}
    found = subprocess.run(command, capture_output=True, text=True, **told)
    assert found.returncode == 0, found.stdout[-2000:] + found.stderr[-3000:]
    (folder / "stderr").write_text(found.stderr)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ray")
    write_files(folder / "rows", [40, 31, 58, 20, 54])
    run_program(folder, "fits", "dataset", "lost", "too_many", "scores", "actor_killed", "search")
    return folder


def told(folder):
    return json.loads((folder / "told.json").read_text())


def arrays(folder, name):
    with np.load(folder / f"{name}.npz") as found:
        return dict(found)


def assert_close(found, expected):
    for name in expected:
        np.testing.assert_allclose(found[name], expected[name], 1e-5, 1e-5, err_msg=name)


def test_workers_of_ray_learn_the_model_of_a_single_process(folder):
    assert_close(arrays(folder, "workers"), arrays(folder, "alone"))


def test_callbacks_are_called_for_training_in_the_workers(folder):
    heard = told(folder)["fits"]
    assert heard[0] == "on_train_begin" and heard[-1] == "on_train_end"
    assert heard.count("on_evaluation") > 1


def test_rows_on_disk_are_learnt_as_by_workers_of_torchrun(folder, tmp_path):
    write_files(tmp_path / "rows", [40, 31, 58, 20, 54])
    run("dataset", tmp_path)
    with np.load(tmp_path / "dataset-0-0.npz") as expected:
        assert_close(arrays(folder, "dataset"), dict(expected))


@pytest.mark.slow
def test_a_killed_worker_is_replaced_and_training_goes_on(tmp_path):
    run_program(tmp_path, "killed")
    assert (tmp_path / "died").exists() and told(tmp_path)["killed"] is None
    losses = arrays(tmp_path, "killed")["losses"]
    assert len(losses) > 10 and np.isfinite(losses).all()


def test_an_error_in_workers_is_one_sentence(folder):
    found = told(folder)
    assert found["lost"].startswith("WorkerError: A worker of Ray was lost (")
    assert "for 999 workers" in found["too_many"]
    assert found["too_many"].startswith("ResourceError")


def test_actors_give_the_results_of_this_process(folder):
    paths = sorted((folder / "here").glob("*.parquet"))
    assert [path.name for path in paths] == [f"{number}.parquet" for number in range(5)]
    for path in paths:
        assert pq.read_table(path).equals(pq.read_table(folder / "there" / path.name))


def test_the_work_of_a_killed_actor_is_done_by_another(folder):
    assert told(folder)["actor_killed"] == [5, 203, True]
    for path in (folder / "here").glob("*.parquet"):
        assert pq.read_table(path).equals(pq.read_table(folder / "again" / path.name))
    assert not [path for path in (folder / "again").rglob("*") if path.suffix == ".tmp"]


def test_a_job_goes_on_with_the_files_that_are_left(folder):
    assert told(folder)["scores"] == [5, 4, 203]


def test_trials_are_run_by_workers(folder):
    assert told(folder)["search"] == [2, 8]


def test_nothing_of_ray_is_heard(folder):
    heard = (folder / "stderr").read_text()
    assert "ray" not in heard.lower().replace("array", ""), heard


def test_a_cluster_that_does_not_respond_is_named():
    code = (
        "from latently import Autoencoder, RayEngine\n"
        "Autoencoder(1, engine=RayEngine(2, address='127.0.0.1:9')).fit([[1.0, 2.0]] * 9)"
    )
    command = [sys.executable, "-c", code]
    found = subprocess.run(command, env=ENV, capture_output=True, text=True, timeout=120)
    said = found.stderr.strip().splitlines()[-1]
    assert "WorkerError: No Ray cluster responds at 127.0.0.1:9" in said


# ------------------------------------------------------------------ without a cluster
def test_without_ray_the_error_states_how_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'latently\[ray\]'"):
        Autoencoder(2, engine=RayEngine(2)).fit(ray_program.X)
    with pytest.raises(MissingExtraError):
        Autoencoder(2, engine="ray").fit(ray_program.X)


@pytest.mark.parametrize(
    ("engine", "said"),
    [
        (RayEngine(0), "n_workers"),
        (RayEngine(2.5), "n_workers"),
        (RayEngine(device="x"), "dev"),
    ],
)
def test_wrong_parameters_are_refused(engine, said):
    with pytest.raises(ParameterError, match=said):
        Autoencoder(2, engine=engine).fit(ray_program.X)


def test_an_error_of_a_worker_is_found_behind_those_of_ray():
    gone, behind = RuntimeError("gone"), RuntimeError("inner")
    behind.cause = ParameterError("Wrong. Mend it.")
    failed = RuntimeError("two workers")
    failed.worker_failures = {0: gone, 1: behind}
    assert str(_ray.error_of_workers(failed)) == "Wrong. Mend it."
    assert "was lost (gone)" in str(_ray.error_of_workers(RuntimeError("gone\nfar")))
