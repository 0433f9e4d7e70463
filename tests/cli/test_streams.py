"""Output is whole, or the exit code is not 0; closed streams are no surprise."""

import io
import json
import math
import os
import subprocess
import sys

import numpy as np
import pytest

from latently.cli._output import write_json
from latently.io import write, write_images
from latently.io.tables._numpy import fill_npy

from .test_process import ENVIRONMENT, PROGRAM

pytestmark = [
    pytest.mark.skipif(os.name == "nt", reason="needs a POSIX shell"),
    pytest.mark.long,
]
needs_full = pytest.mark.skipif(
    not os.path.exists("/dev/full"),  # noqa: PTH110
    reason="needs a device that is full",
)


def shell(words, redirection, unbuffered=False):
    """Run a command under a redirection of the shell; return its exit code, output and messages."""
    environment = {**ENVIRONMENT, "PYTHONUNBUFFERED": "1" if unbuffered else ""}
    command = " ".join([*PROGRAM, *(str(word) for word in words), redirection])
    done = subprocess.run(
        ["bash", "-c", command], capture_output=True, env=environment, check=False, timeout=120
    )
    assert b"Traceback" not in done.stderr and b"internal error" not in done.stderr, done.stderr
    return done.returncode, done.stdout, done.stderr.decode()


@needs_full
@pytest.mark.parametrize(
    ("command", "unbuffered"),
    [
        ("--help", True),
        ("inspect", False),
        ("sample", True),
        ("inspect --json", False),
        ("reconstruct {table}", True),
        ("score {table}", False),
        ("compare {table} {table}", False),
    ],
)
def test_a_full_disk_behind_stdout_is_exit_code_5(model, table, command, unbuffered):
    name, *options = command.format(table=table).split()
    words = [name, *([] if name in ("--help", "compare") else [model]), *options]
    code, _, said = shell(words, "> /dev/full", unbuffered)
    assert code == 5
    assert "no space left on device" in said


@pytest.mark.parametrize("name", ["csv", "arrow"])
def test_a_write_that_the_system_cuts_short_is_exit_code_5(model, tmp_path, name):
    # Given: files of at most 8 kB; a first write of more than that is done in part, without error.
    limit, target = "ulimit -f 8;", tmp_path / "rows"
    words = ["sample", model, "-n", "5000", "--output-format", name, ">", target]
    environment = {**ENVIRONMENT, "PYTHONUNBUFFERED": "1"}
    command = " ".join([limit, *PROGRAM, *(str(word) for word in words)])
    done = subprocess.run(
        ["bash", "-c", command], capture_output=True, env=environment, check=False, timeout=120
    )
    # Then
    assert done.returncode == 5, done.stderr
    assert b"standard output: it cannot be written (file too large)" in done.stderr


@pytest.mark.parametrize(
    ("command", "closed", "code", "words"),
    [
        ("sample", ">&-", 3, "standard output: it cannot be written"),
        ("inspect", ">&-", 3, "standard output: it cannot be written"),
        ("sample", "2>&-", 0, ""),
        ("sample", "<&- 2>&-", 0, ""),
        ("inspect", "<&- >&- 2>&-", 3, ""),
        ("transform - ", "<&-", 3, "standard input: it cannot be read"),
    ],
)
def test_closed_streams_work_or_end_with_a_sentence(model, command, closed, code, words):
    name, *data = command.split()
    found = shell([name, model, *data], closed)
    assert found[0] == code
    assert words in found[2]


@pytest.mark.parametrize("closed", [">&-", "<&- >&- 2>&-", "2> /dev/full"])
def test_a_model_that_was_written_is_a_success(table, tmp_path, closed):
    output = tmp_path / "model.safetensors"
    words = [
        "fit",
        table,
        "--ignore",
        "label",
        "--ignore",
        "key",
        "--max-epochs",
        "1",
        "-o",
        output,
    ]
    assert shell(words, closed)[0] == 0
    assert output.exists()


def test_help_into_a_closed_pipe_ends_as_other_programs_do():
    assert shell(["fit", "--help"], "| head -1 > /dev/null; exit ${PIPESTATUS[0]}")[0] in (0, 141)


@pytest.mark.parametrize("unbuffered", [False, True])
def test_a_pipe_that_does_not_block_gets_everything(model, unbuffered):
    environment = {**ENVIRONMENT, "PYTHONUNBUFFERED": "1" if unbuffered else ""}
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    words = [*PROGRAM, "sample", str(model), "-n", "20000"]
    process = subprocess.Popen(words, stdout=writer, env=environment)
    os.close(writer)
    with open(reader, "rb") as pipe:  # noqa: PTH123
        rows = pipe.read().count(b"\n")
    assert (process.wait(60), rows) == (0, 20001)


def test_json_holds_no_number_that_json_lacks(capsys):
    numbers = {"a": math.nan, "b": [np.float32(0.5), np.inf], "c": np.array([1.0, -np.inf])}
    write_json({**numbers, 4: np.int64(2)})
    found = json.loads(capsys.readouterr().out, parse_constant=lambda _: pytest.fail("no JSON"))
    assert found == {"a": None, "b": [0.5, None], "c": [1.0, None], "4": 2}


@pytest.mark.parametrize("name", ["folder/", "picture.png", "rows.csv", "page.html", "."])
def test_a_model_is_not_written_under_the_name_of_something_else(run, table, tmp_path, name):
    found = run("fit", table, "-o", f"{tmp_path}/{name}")
    assert found.exit_code == 2
    assert "A model must be written to a file such as model.safetensors" in found.output
    assert not list(tmp_path.iterdir())


def test_a_table_is_not_written_to_the_name_of_a_folder(run, model, table, tmp_path):
    found = run("score", model, table, "-o", f"{tmp_path}/scores.csv/")
    assert found.exit_code == 3
    assert "the name ends in a slash" in found.output
    assert not list(tmp_path.iterdir())


def test_a_refused_fit_leaves_no_checkpoint_folder(run, table, tmp_path):
    words = ["-o", tmp_path / "m.safetensors", "--checkpoint", tmp_path / "saved"]
    assert run("fit", table, *words, "--n-components", "0").exit_code == 2
    assert not list(tmp_path.iterdir())


def test_a_batch_job_that_fails_at_once_leaves_no_folder(run, model, tmp_path):
    import pyarrow as pa

    (tmp_path / "tables").mkdir()
    write(pa.table({"other": [1.0, 2.0]}), tmp_path / "tables" / "a.csv")
    assert run("score", model, tmp_path / "tables", "-o", f"{tmp_path}/out/").exit_code == 3
    assert [path.name for path in tmp_path.iterdir()] == ["tables"]


@pytest.mark.parametrize("exists", [False, True])
def test_images_are_all_written_or_none(tmp_path, monkeypatch, exists):
    from PIL import Image

    # Given: a disk that is full after the third image.
    folder, saved = tmp_path / "images", []
    if exists:
        folder.mkdir()
    save = Image.Image.save

    def save_three(image, path, kind):
        if len(saved) == 3:
            raise OSError(28, "No space left on device")
        saved.append(path)
        save(image, path, kind)

    monkeypatch.setattr(Image.Image, "save", save_three)
    # When
    with pytest.raises(ValueError, match="No space left on device"):
        write_images(np.zeros((5, 4, 4), np.uint8), folder)
    # Then
    assert [path.name for path in tmp_path.rglob("*")] == ["images"] * exists


@pytest.mark.parametrize("shape", [(), (0, 3), (4, 5)])
@pytest.mark.parametrize("dtype", [np.float32, np.int64, np.bool_])
def test_npy_files_are_those_of_numpy(shape, dtype):
    expected, found = io.BytesIO(), io.BytesIO()
    array = np.ones(shape, dtype)
    np.save(expected, array)
    fill_npy(array, found)
    assert found.getvalue() == expected.getvalue()


def test_standard_output_is_whole_outside_of_the_command_as_well(tmp_path):
    program = (
        "import numpy as np; from latently.io import write;"
        "write(np.zeros((20_000, 4)), '-'); write(np.zeros((20_000, 4)), '-', 'npy')"
    )
    environment = {**ENVIRONMENT, "PYTHONUNBUFFERED": "1"}
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, env=environment, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert len(done.stdout) == len("0,0,0,0\n") * 20_000 + 20 + 20_000 * 32 + 128
