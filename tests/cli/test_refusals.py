"""Files that cannot be used: one line, the right code, nothing on stdout."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from latently.io import write

from .data import FAST, Answer, done, run, table


def broken(name: str, folder: Path, shelf: Path) -> Path:
    """Write a file that cannot be used."""
    model = (shelf / "model.safetensors").read_bytes()
    contents = {
        "empty.csv": b"",
        "header.csv": b"height,width,depth,weight,kind\n",
        "zero.npy": b"",
        "text.parquet": b"not a parquet file at all",
        "rows.xlsx": b"PK\x03\x04",
        "empty.safetensors": b"",
        "cut.safetensors": model[: len(model) // 2],
        "pickle.safetensors": b"\x80\x04\x95" + bytes(60),
        "text.safetensors": b"hello",
    }
    (folder / name).write_bytes(contents[name])
    return folder / name


def assert_refused(answer: Answer, code: int, words: str) -> None:
    """Hold an answer to one plain message."""
    assert answer.code == code, answer.err
    assert answer.out == b""
    assert words in answer.err and "Traceback" not in answer.err
    assert [line[:7] for line in answer.err.splitlines()].count("error: ") == 1


@pytest.mark.parametrize("command", ["fit", "transform", "score"])
@pytest.mark.parametrize(
    "name", ["empty.csv", "header.csv", "zero.npy", "text.parquet", "rows.xlsx"]
)
def test_data_that_cannot_be_read_are_named(
    command: str, name: str, shelf: Path, tmp_path: Path
) -> None:
    data, model = broken(name, tmp_path, shelf), tmp_path / "new.safetensors"
    if command == "fit":
        answer = run("fit", data, "-o", model, *FAST)
    else:
        answer = run(command, shelf / "model.safetensors", data)
    assert_refused(answer, 3, "")
    assert not model.exists()


@pytest.mark.parametrize("name", ["empty", "cut", "pickle", "text"])
@pytest.mark.parametrize("command", ["inspect", "transform", "sample"])
def test_model_files_that_cannot_be_read_are_named(
    command: str, name: str, shelf: Path, tmp_path: Path
) -> None:
    model = broken(f"{name}.safetensors", tmp_path, shelf)
    data = [shelf / "rows.csv"] if command == "transform" else []
    assert_refused(run(command, model, *data), 4, f"{name}.safetensors")


def test_missing_columns_are_counted_and_named(shelf: Path, tmp_path: Path) -> None:
    write(table().select(["height", "kind"]), tmp_path / "few.csv")
    answer = run("transform", shelf / "model.safetensors", tmp_path / "few.csv")
    assert_refused(answer, 3, "3 of the model's 5 columns are missing: width, depth, weight")


@pytest.mark.parametrize(
    ("shape", "model"),
    [((5, 3), "matrix"), ((5, 3), "model"), ((5, 8, 8, 3), "images"), ((5, 4), "images")],
)
def test_arrays_of_another_shape_are_refused(
    shape: tuple[int, ...], model: str, shelf: Path, tmp_path: Path
) -> None:
    np.save(tmp_path / "other.npy", np.zeros(shape))
    answer = run("transform", shelf / f"{model}.safetensors", tmp_path / "other.npy")
    assert_refused(answer, 3, "")


def test_words_where_a_model_expects_numbers_are_refused(shelf: Path, tmp_path: Path) -> None:
    given = table().set_column(1, "height", pa.array(["tall"] * 60))
    write(given, tmp_path / "words.csv")
    answer = run("score", shelf / "model.safetensors", tmp_path / "words.csv")
    assert_refused(answer, 3, "height")


def test_an_output_in_a_folder_that_is_not_there_is_refused_first(
    shelf: Path, tmp_path: Path
) -> None:
    out = tmp_path / "nowhere" / "model.safetensors"
    assert_refused(run("fit", shelf / "rows.csv", "-o", out, *FAST), 3, "folder does not exist")


def test_a_folder_without_images_is_refused(shelf: Path, tmp_path: Path) -> None:
    (tmp_path / "none").mkdir()
    answer = run("fit", tmp_path / "none", "-o", tmp_path / "m.safetensors", *FAST)
    assert_refused(answer, 3, "none")


def test_one_bad_image_is_refused_or_passed_over(shelf: Path, tmp_path: Path) -> None:
    # Given
    images = tmp_path / "images"
    images.mkdir()
    for path in sorted((shelf / "images").iterdir())[:3]:
        (images / path.name).write_bytes(path.read_bytes())
    (images / "bad.png").write_bytes(b"not an image")
    # When / then
    words = ["score", shelf / "images.safetensors", images]
    assert_refused(run(*words), 3, "bad.png")
    skipped = done(*words, "--skip-bad")
    assert len(skipped.out.splitlines()) == 1 + 3 and "bad.png" in skipped.err


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--resume"], "Drop --checkpoint and --resume"),
        (["--checkpoint", "folder"], "Drop --checkpoint and --resume"),
        (["--kind", "unet"], "does not belong to --kind unet"),
    ],
)
def test_what_several_models_cannot_do_is_said(
    options: list[str], words: str, shelf: Path, tmp_path: Path
) -> None:
    model = tmp_path / "new.safetensors"
    answer = run("fit", shelf / "rows.csv", "-o", model, "--n-estimators", 3, *options)
    assert_refused(answer, 2, words)
    assert not model.exists()
