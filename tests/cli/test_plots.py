"""Pictures beside the answers: `--plot` of fit, transform and score."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from latently.io import write

from .data import FAST, done, run, table

_MAGIC = {"png": b"\x89PNG", "pdf": b"%PDF", "svg": b"<?xml"}


def words_of(command: str, shelf: Path, tmp_path: Path) -> list[object]:
    """Return a command with its arguments, ready but for the picture."""
    if command == "fit":
        return ["fit", shelf / "rows.csv", "--id", "id", "-o", tmp_path / "new.safetensors", *FAST]
    return [command, shelf / "model.safetensors", shelf / "rows.csv", "--id", "id"]


@pytest.mark.parametrize("command", ["fit", "transform", "score"])
def test_a_picture_is_drawn_and_stdout_stays_the_same(
    command: str, shelf: Path, tmp_path: Path
) -> None:
    picture = tmp_path / "picture.png"
    drawn = done(*words_of(command, shelf, tmp_path), "--plot", picture)
    plain = done(*words_of(command, shelf, tmp_path), "--overwrite")
    assert drawn.out == plain.out
    assert f"drew {picture}" in drawn.err
    assert picture.read_bytes().startswith(_MAGIC["png"])


@pytest.mark.parametrize("suffix", _MAGIC)
def test_the_name_decides_the_format_of_the_picture(
    suffix: str, shelf: Path, tmp_path: Path
) -> None:
    picture = tmp_path / f"picture.{suffix}"
    done(*words_of("score", shelf, tmp_path), "--plot", picture)
    assert picture.read_bytes().startswith(_MAGIC[suffix])


@pytest.mark.parametrize("command", ["fit", "transform", "score"])
def test_a_picture_that_exists_is_refused_before_any_work(
    command: str, shelf: Path, tmp_path: Path
) -> None:
    # Given
    picture, words = tmp_path / "picture.png", words_of(command, shelf, tmp_path)
    picture.write_text("mine")
    # When
    refused = run(*words, "--plot", picture)
    # Then
    assert (refused.code, refused.out, picture.read_text()) == (2, b"", "mine")
    assert "exists" in refused.err and list(tmp_path.iterdir()) == [picture]
    done(*words, "--plot", picture, "--overwrite")
    assert picture.read_bytes().startswith(_MAGIC["png"])


@pytest.mark.parametrize("name", ["picture.jpeg", "picture", "-"])
def test_a_picture_of_no_known_kind_is_refused(name: str, shelf: Path, tmp_path: Path) -> None:
    refused = run(*words_of("score", shelf, tmp_path), "--plot", name)
    assert refused.code == 2 and refused.out == b""
    assert "--plot must name a .png, .pdf, .svg file" in refused.err


def colourful(folder: Path) -> Path:
    """Write rows with columns that the model never saw: words, amounts, days, gaps."""
    given = table()
    days = pa.array([None, *range(19_000, 19_059)], pa.date32())
    given = given.append_column("day", days).append_column("amount", pa.array(range(60)))
    given = given.append_column("gappy", pa.array([None, 1.5] * 30))
    write(given, folder / "colourful.parquet")
    return folder / "colourful.parquet"


@pytest.mark.parametrize("column", ["kind", "height", "id", "day", "amount", "gappy"])
def test_any_column_of_the_data_can_colour_the_map(
    column: str, shelf: Path, tmp_path: Path
) -> None:
    # Given
    data, picture = colourful(tmp_path), tmp_path / "map.png"
    # When
    words = ["transform", shelf / "model.safetensors", data, "--plot", picture, "--color", column]
    answer = done(*words)
    # Then: the colour is neither written to stdout nor called unknown.
    header = answer.out.splitlines()[0].decode()
    assert header == '"autoencoder0","autoencoder1"'
    warned = [line for line in answer.err.splitlines() if line.startswith("warning")]
    assert all(column not in line.split(": ")[-1].rstrip(".").split(", ") for line in warned)
    assert picture.stat().st_size > 1_000


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--color", "kind"], "Add --plot"),
        (["--color", "nothing", "--plot", "PICTURE"], "--color names columns"),
    ],
)
def test_a_colour_without_a_picture_or_a_column_is_refused(
    options: list[str], words: str, shelf: Path, tmp_path: Path
) -> None:
    picture = str(tmp_path / "map.png")
    given = [picture if option == "PICTURE" else option for option in options]
    refused = run(*words_of("transform", shelf, tmp_path), *given)
    assert refused.code == 2 and words in refused.err and refused.out == b""


def test_images_have_no_column_to_colour_by(shelf: Path, tmp_path: Path) -> None:
    words = ["transform", shelf / "images.safetensors", shelf / "images"]
    refused = run(*words, "--plot", tmp_path / "map.png", "--color", "kind")
    assert refused.code == 2 and "needs a table" in refused.err
