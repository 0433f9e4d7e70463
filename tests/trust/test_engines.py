"""A model file is state: it names no engine and no address, and nothing is dialled for it."""

import socket

import numpy as np
import pytest

from latently import Autoencoder
from latently.exceptions import ModelFileError, WorkerError
from latently.io._model_file import read_model, write_model
from latently.persistence import load
from latently.training import RayEngine

pytestmark = pytest.mark.trust("model files")

X = np.random.default_rng(0).normal(size=(60, 4))


def foreign_engines(port):
    """Yield what older files, or forged ones, may hold as engines."""
    address = {"address": f"127.0.0.1:{port}", "device": "cpu", "max_failures": 0}
    yield {"~class": "RayEngine", "params": {"n_workers": 1, **address, "precision": "auto"}}
    yield {"~class": "TorchrunEngine", "params": {"device": "auto", "timeout": 1.0}}
    yield {"~class": "LocalEngine", "params": {"device": "cuda:7"}}
    yield from ("ray", "torchrun", "cuda:7", "nonsense", 3, None, {"~class": "os.system"})


@pytest.fixture
def port():
    with socket.socket() as ear:
        ear.bind(("127.0.0.1", 0))
        ear.listen()
        ear.setblocking(False)
        yield ear.getsockname()[1]
        with pytest.raises(BlockingIOError):  # nobody has called
            ear.accept()


def test_engines_of_a_model_file_are_not_read(port, tmp_path, outcome):
    path = tmp_path / "model.safetensors"
    fitted = Autoencoder(2, max_epochs=1, random_state=0).fit(X)
    fitted.save(path)
    config, arrays = read_model(path)
    for engine in foreign_engines(port):
        config["params"] |= {"engine": engine, "verbose": {"~foreign": "x"}}
        write_model(path, config, arrays)
        loaded = load(path)
        assert (loaded.engine, loaded.verbose) == ("auto", False)
        loaded.partial_fit(X)
        loaded.transform(X)
        outcome("loaded")


def test_an_engine_in_any_other_place_is_an_unknown_class(tmp_path):
    path = tmp_path / "model.safetensors"
    Autoencoder(2, max_epochs=1, random_state=0).fit(X).save(path)
    config, arrays = read_model(path)
    config["params"]["network"] = next(foreign_engines(1))
    write_model(path, config, arrays)
    with pytest.raises(ModelFileError, match="unknown class 'RayEngine'"):
        load(path)


@pytest.mark.parametrize("end", [SystemExit(1), RuntimeError("no token")], ids=str)
def test_ray_does_not_end_the_caller(end, monkeypatch):
    class Ray:
        @staticmethod
        def is_initialized():
            return False

        @staticmethod
        def init(**options):
            raise end

    monkeypatch.setattr("latently.training.distributed._ray.import_ray", lambda: Ray)
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    with pytest.raises(WorkerError, match="No Ray cluster responds here"):
        RayEngine(1).start()
