"""Several processes train as one does, agree on all that is decided, and end in a sentence."""

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from latently import Autoencoder, TableDataset, load
from latently.nn import Cells
from latently.training import LocalEngine, StreamedData, TorchrunEngine, TrainingData
from latently.training._data import Batch
from latently.training.distributed._serialization import deserialize, serialize
from latently.training.distributed._sharding import ShardedStream
from latently.training.distributed._workers import SingleProcess, shard_of
from tests.distributed import program

pytestmark = pytest.mark.distributed
PROGRAM = Path(program.__file__)
ENV = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"}


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def torchrun(*command, n_workers=2, n_restarts=0, check=True, **options):
    launched = [
        sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", str(n_workers),
        "--max-restarts", str(n_restarts), "--monitor-interval", "0.1",
        "--master-addr", "127.0.0.1", "--master-port", str(free_port()), *map(str, command),
    ]  # fmt: skip
    told = {"capture_output": True, "text": True, "env": ENV, "timeout": 120}
    found = subprocess.run(launched, **told, **options)
    assert not check or found.returncode == 0, found.stderr[-3000:]
    return found


def run(scenario, folder, **options):
    return torchrun(PROGRAM, scenario, folder, **options)


def arrays(folder, name, rank=0, attempt=0):
    with np.load(Path(folder) / f"{name}-{attempt}-{rank}.npz") as found:
        return dict(found)


def assert_identical(first, second):
    assert first.keys() == second.keys()
    for name in first:
        np.testing.assert_array_equal(first[name], second[name], err_msg=name)


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    folder = tmp_path_factory.mktemp("alone")
    subprocess.run([sys.executable, PROGRAM, "models", folder], check=True, env=ENV, timeout=120)
    return arrays(folder, "models")


@pytest.fixture(scope="module")
def together(tmp_path_factory):
    """Three workers, which no batch is divided by."""
    folder = tmp_path_factory.mktemp("together")
    run("models", folder, n_workers=3)
    return folder


@pytest.fixture(scope="module")
def unkilled(tmp_path_factory):
    """A training of two workers from beginning to end."""
    folder = tmp_path_factory.mktemp("unkilled")
    run("unkilled", folder)
    return arrays(folder, "unkilled")


def test_workers_learn_the_model_of_a_single_process(alone, together):
    found = arrays(together, "models")
    for name in program.MODELS:
        for part in [key for key in alone if key.startswith(f"{name}/")]:
            np.testing.assert_allclose(found[part], alone[part], rtol=1e-5, atol=1e-5, err_msg=part)


def test_results_are_equal_where_offsets_are_not_determined(alone, together):
    found = arrays(together, "models")
    for name in program.NORMALIZED:
        for part in ("answers", "losses"):
            key = f"{name}/{part}"
            np.testing.assert_allclose(found[key], alone[key], atol=1e-3, err_msg=key)


def test_all_workers_end_with_the_same_model_to_the_bit(together):
    assert_identical(arrays(together, "models", 0), arrays(together, "models", 1))


def test_steps_are_recorded_all_the_same(together):
    assert arrays(together, "models")["plain, recorded/recorded"]


def test_two_runs_are_the_same_to_the_bit(unkilled, tmp_path):
    run("unkilled", tmp_path)
    assert_identical(arrays(tmp_path, "unkilled"), unkilled)


def test_workers_without_a_seed_draw_one_together(tmp_path):
    run("without_seed", tmp_path)
    assert_identical(arrays(tmp_path, "seedless", 0), arrays(tmp_path, "seedless", 1))


def assert_refused(folder, n_workers, name, said):
    for rank in range(n_workers):
        found = json.loads((folder / f"{name}-{rank}.json").read_text())
        assert found["kind"] == "DataError" and said in found["said"], found
        assert "\n" not in found["said"]


def test_each_worker_reports_a_disagreement(tmp_path):
    write_files(tmp_path / "rows-0", [40, 30])
    write_files(tmp_path / "rows-1", [40, 30], n_columns=7)
    run("disagreements", tmp_path)
    assert_refused(tmp_path, 2, "columns", "Worker 1 has other columns than the first one")
    assert_refused(tmp_path, 2, "values", "Worker 1 has other values than the first one")
    assert_refused(tmp_path, 2, "seed", "Worker 1 has other parameters than the first one")
    assert_refused(tmp_path, 2, "files", "Worker 1 reads other columns than the first one")


def test_fewer_rows_than_workers_are_refused(tmp_path):
    run("too_few_rows", tmp_path, n_workers=3)
    assert_refused(tmp_path, 3, "few", "got 2 rows for 3 workers")


# ------------------------------------------------------------------ rows on disk
def write_files(folder, sizes, n_columns=8):
    folder.mkdir()
    start = 0
    rows = program.table(sum(sizes), n_columns)
    for number, size in enumerate(sizes):
        own = rows[start : start + size]
        names = {f"x{place}": own[:, place] for place in range(n_columns)}
        pq.write_table(pa.table(names), folder / f"{number}.parquet")
        start += size


class Everyone:
    """The batches of several workers put together, as one process would see them."""

    def __init__(self, stream, n_workers):
        self.sides = [ShardedStream(stream, Numbered(rank, n_workers)) for rank in range(n_workers)]
        self.n_rows, self.sample, self.device = stream.n_rows, stream.sample, stream.device

    def batches(self, batch_size, generator, skip=0):
        chances = [torch.Generator().manual_seed(0) for _ in self.sides]
        for chance in chances:
            chance.set_state(generator.get_state())
        pairs = zip(self.sides, chances, strict=True)
        dealt = [side.batches(batch_size, chance, skip) for side, chance in pairs]
        torch.randint(2**31, (), generator=generator)  # as each of them does
        for parts in zip(*dealt, strict=True):
            values = torch.cat([part.inputs.values for part in parts])
            yield Batch(Cells(values), Cells(values), None)


class Numbered(SingleProcess):
    """One of several workers, without communication."""

    def __init__(self, rank, n_workers):
        self.rank, self.n_workers = rank, n_workers


@pytest.mark.parametrize(
    ("sizes", "n_workers"),
    [([40, 31, 58, 20, 54], 2), ([203], 2), ([90, 113], 3)],
    ids=["files that the workers do not divide", "an empty shard", "two files for three"],
)
def test_rows_on_disk_are_learnt_as_by_one_process_from_the_same_batches(
    sizes, n_workers, tmp_path, monkeypatch
):
    write_files(tmp_path / "rows", sizes)
    run("dataset", tmp_path, n_workers=n_workers)
    found = arrays(tmp_path, "dataset")
    assert_identical(found, arrays(tmp_path, "dataset", n_workers - 1))

    shard = LocalEngine.shard

    def of_everyone(engine, data):
        data = shard(engine, data)
        return Everyone(data, n_workers) if isinstance(data, StreamedData) else data

    monkeypatch.setattr(LocalEngine, "shard", of_everyone)
    data = TableDataset(tmp_path / "rows")
    model = Autoencoder(3, max_epochs=3, batch_size=32, random_state=0).fit(data)
    for name, expected in program.arrays_of(model, data).items():
        np.testing.assert_allclose(found[name], expected, rtol=1e-5, atol=1e-5, err_msg=name)


@pytest.mark.parametrize("sizes", [[7], [5, 1, 9, 30], [1] * 11, [100, 3]])
@pytest.mark.parametrize("n_workers", [1, 2, 3, 4])
def test_every_row_of_a_shared_stream_is_dealt_out_once(sizes, n_workers):
    values = torch.arange(float(sum(sizes)))[:, None]
    shares = [shard_of(len(values), rank, n_workers) for rank in range(n_workers)]
    # One worker has nothing.
    shares[-1] = slice(0, 0) if n_workers > 1 else shares[-1]
    own = [values[share] for share in shares]

    def chunks(seed, rank, n_workers):
        for part in own[rank].split(4):
            if len(part):
                yield TrainingData(Cells(part))

    n_rows = sum(map(len, own))
    counts = [len(part) for part in own]
    stream = StreamedData(n_rows, chunks, lambda n: counts, TrainingData(Cells(values)))
    sides = [ShardedStream(stream, Numbered(rank, n_workers)) for rank in range(n_workers)]
    dealt = [list(side.batches(8, torch.Generator().manual_seed(0))) for side in sides]
    assert len({len(batches) for batches in dealt}) == 1
    seen = torch.cat([batch.inputs.values for batches in dealt for batch in batches]).flatten()
    assert sorted(seen.tolist()) == sorted(torch.cat(own).flatten().tolist())
    for parts in zip(*dealt, strict=True):
        spans = [(batch.shard.start, batch.shard.stop) for batch in parts]
        assert [span[0] for span in spans[1:]] == [span[1] for span in spans[:-1]]
        assert spans[-1][1] == parts[0].shard.total == sum(batch.n_rows for batch in parts)


def test_files_are_dealt_out_evenly(tmp_path):
    write_files(tmp_path / "rows", [50, 10, 10, 30, 20])
    data = TableDataset(tmp_path / "rows")
    loads = [sum(map(len, own)) for own in data.places(2)]
    assert loads == [60, 60]
    places = [place for own in data.places(2) for run in own for place in run]
    assert sorted(places) == list(range(120))
    read = [row for rank in (0, 1) for piece in data.pieces(rank, 2) for row in piece.table["x0"]]
    assert sorted(map(str, read)) == sorted(map(str, data.to_table()["x0"]))


# ------------------------------------------------------------------ ends
def test_a_killed_worker_is_reported_at_once(tmp_path):
    found = run("killed", tmp_path, check=False)
    assert found.returncode != 0
    when, _, said = (tmp_path / "lost").read_text().partition(" ")
    assert float(when) - float((tmp_path / "died").read_text()) < 30
    assert said.startswith("WorkerError: Worker 0 of 2 lost the connection to another one")


def test_after_a_restart_training_goes_on_to_the_same_weights(unkilled, tmp_path):
    run("killed", tmp_path, n_restarts=1)
    for rank in (0, 1):
        assert_identical(arrays(tmp_path, "killed", rank, attempt=1), unkilled)


@pytest.mark.slow
def test_more_workers_go_on_from_the_checkpoint_of_fewer(unkilled, tmp_path):
    run("killed", tmp_path, check=False)
    run("unkilled", tmp_path, n_workers=3)
    found = arrays(tmp_path, "unkilled")
    np.testing.assert_allclose(found["answers"], unkilled["answers"], atol=1e-4)


def test_ctrl_c_on_one_worker_ends_all_of_them_after_the_step(unkilled, tmp_path):
    run("interrupted", tmp_path)
    assert_identical(arrays(tmp_path, "interrupted", 0), arrays(tmp_path, "interrupted", 1))
    late = arrays(tmp_path, "late", 0)
    assert_identical(late, arrays(tmp_path, "late", 1))
    assert late["interrupted"]
    run("unkilled", tmp_path)
    assert_identical(arrays(tmp_path, "unkilled"), unkilled)


def test_an_address_that_does_not_respond_is_named(tmp_path):
    address = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port())}
    env = {**ENV, **address, "RANK": "1", "WORLD_SIZE": "2"}
    code = (
        "from latently.training.distributed import _torchrun; _torchrun._RENDEZVOUS_SECONDS = 2.0\n"
        "from latently import Autoencoder; Autoencoder(1).fit([[1.0, 2.0]] * 9)"
    )
    command = [sys.executable, "-c", code]
    found = subprocess.run(command, env=env, capture_output=True, text=True, timeout=60)
    said = found.stderr.strip().splitlines()[-1]
    assert "WorkerError: The workers did not connect at 127.0.0.1:" in said


@pytest.mark.gpu
@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="needs two GPUs")
def test_workers_on_gpus_learn_the_model_of_a_single_process(alone, tmp_path):
    run("models", tmp_path)
    found = arrays(tmp_path, "models")
    for name in program.MODELS:
        np.testing.assert_allclose(found[f"{name}/answers"], alone[f"{name}/answers"], atol=1e-2)


# ------------------------------------------------------------------ the command
def test_the_command_writes_the_files_of_a_single_process_once(tmp_path):
    write_files(tmp_path / "rows", [120, 83])
    words = ["fit", tmp_path / "rows", "--n-components", 3, "--max-epochs", 4]
    found = torchrun("-m", "latently", *words, "-o", tmp_path / "two.safetensors")
    assert found.stderr.count("wrote") == 1
    alone = [sys.executable, "-m", "latently", *map(str, words)]
    alone += ["-o", str(tmp_path / "one.safetensors")]
    subprocess.run(alone, check=True, env=ENV, timeout=120, capture_output=True)
    one, two = (load(tmp_path / f"{name}.safetensors") for name in ("one", "two"))
    for name, expected in one.module_.state_dict().items():
        np.testing.assert_allclose(two.module_.state_dict()[name], expected, 1e-5, 1e-5)
    refused = torchrun("-m", "latently", *words, "-o", tmp_path / "two.safetensors", check=False)
    assert "worker 0: error:" in refused.stderr and "the output exists" in refused.stderr
    assert not [path for path in tmp_path.iterdir() if path.suffix == ".tmp"]


# ------------------------------------------------------------------ parts
def test_without_torchrun_the_error_of_its_engine_states_how_to_start():
    from latently.exceptions import ParameterError

    with pytest.raises(ParameterError, match="torchrun --nproc-per-node 2"):
        Autoencoder(2, engine="torchrun").fit(program.X)
    with pytest.raises(ParameterError, match="torchrun --nproc-per-node 2"):
        _ = TorchrunEngine().workers


def test_serialized_values_are_restored():
    value = {"a": [1, 2.5, None, "x", True], "b": np.arange(6.0).reshape(2, 3), "c": np.array(3)}
    back = deserialize(serialize(value).tobytes())
    assert back["a"] == value["a"] and back["c"] == 3
    np.testing.assert_array_equal(back["b"], value["b"])


def test_nothing_that_is_sent_is_run():
    assert b"pickle" not in serialize({"a": 1}).tobytes()
    with pytest.raises(Exception, match=r"."):
        deserialize(b"\x80\x04\x95" * 10)


def test_signals_are_left_as_they_were():
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
