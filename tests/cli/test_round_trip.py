"""From a file to a model to answers: rows keep their order, ids and columns."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from latently.io import read, read_images, write

from .data import FAST, NUMBERS, answer_table, done, run, table, with_gaps

_COMMANDS = ["transform", "reconstruct", "score", "impute", "denoise"]


@pytest.mark.parametrize("command", _COMMANDS)
def test_ids_and_row_order_are_kept(command: str, shelf: Path, tmp_path: Path) -> None:
    # Given: the same rows in another order.
    order = np.random.default_rng(1).permutation(60)
    write(with_gaps(table()).take(order), tmp_path / "shuffled.csv")
    options = ["--id", "id"]
    # When
    model = shelf / "model.safetensors"
    straight = answer_table(done(command, model, shelf / "gaps.csv", *options), tmp_path)
    shuffled = answer_table(done(command, model, tmp_path / "shuffled.csv", *options), tmp_path)
    # Then
    assert straight["id"].to_pylist() == table()["id"].to_pylist()
    expected = straight.take(order)
    assert shuffled["id"].equals(expected["id"])
    for name in [
        name for name in expected.column_names if pa.types.is_floating(expected[name].type)
    ]:
        np.testing.assert_allclose(shuffled[name].to_numpy(), expected[name].to_numpy(), 1e-4, 1e-6)


@pytest.mark.parametrize("command", _COMMANDS)
def test_columns_are_matched_by_name_and_extra_ones_ignored_with_one_line(
    command: str, shelf: Path, tmp_path: Path
) -> None:
    # Given: columns in another order, two of them unknown to the model.
    given = table().drop_columns(["id"])
    other = given.select(given.column_names[::-1]).append_column("new", pa.array([1] * 60))
    write(given, tmp_path / "given.csv")
    write(other.append_column("newer", pa.array(["x"] * 60)), tmp_path / "other.csv")
    # When
    model = shelf / "model.safetensors"
    expected = done(command, model, tmp_path / "given.csv")
    answer = done(command, model, tmp_path / "other.csv")
    # Then
    assert answer.out == expected.out
    warned = [line for line in answer.err.splitlines() if "new" in line]
    assert warned == ["warning: columns that the model does not know are ignored: new, newer."]


def test_codes_decode_to_the_reconstruction(shelf: Path, tmp_path: Path) -> None:
    model, rows = shelf / "model.safetensors", shelf / "rows.csv"
    done("transform", model, rows, "--id", "id", "-o", tmp_path / "codes.parquet")
    decoded = answer_table(
        done("inverse-transform", model, tmp_path / "codes.parquet", "--id", "id"), tmp_path
    )
    rebuilt = answer_table(done("reconstruct", model, rows, "--id", "id"), tmp_path)
    assert decoded.column_names == rebuilt.column_names == ["id", *NUMBERS, "kind"]
    for name in NUMBERS:
        np.testing.assert_allclose(decoded[name].to_numpy(), rebuilt[name].to_numpy(), rtol=1e-4)
    assert decoded["kind"].equals(rebuilt["kind"])


def test_impute_fills_gaps_and_leaves_all_other_cells(shelf: Path, tmp_path: Path) -> None:
    gaps = read(shelf / "gaps.csv")
    answer = done("impute", shelf / "model.safetensors", shelf / "gaps.csv", "--id", "id")
    filled = answer_table(answer, tmp_path)
    assert filled.column_names == gaps.column_names
    for name in gaps.column_names:
        known = np.asarray(gaps[name].is_valid())
        assert filled[name].filter(pa.array(known)).equals(gaps[name].filter(pa.array(known)))
        assert filled[name].null_count == 0
    assert f"filled {sum(c.null_count for c in gaps.columns)} missing cells" in answer.err


def test_sample_writes_rows_of_the_table_and_the_seed_decides(shelf: Path, tmp_path: Path) -> None:
    # Given
    model = tmp_path / "model.safetensors"
    done("fit", shelf / "rows.csv", "--id", "id", "--kind", "variational", "-o", model, *FAST)
    # When
    one, again, other = (done("sample", model, "-n", 7, "--seed", seed) for seed in (1, 1, 2))
    # Then
    assert one.out == again.out != other.out
    rows = answer_table(one, tmp_path)
    assert rows.num_rows == 7 and rows.column_names == [*NUMBERS, "kind"]
    assert set(rows["kind"].to_pylist()) <= {"large", "small"}


def test_score_adds_flags_and_the_error_of_each_column(shelf: Path, tmp_path: Path) -> None:
    options = ["--id", "id", "--per-feature", "--contamination", "0.1"]
    answer = done("score", shelf / "model.safetensors", shelf / "rows.csv", *options)
    scores = answer_table(answer, tmp_path)
    errors = [f"error_{name}" for name in [*NUMBERS, "kind"]]
    assert scores.column_names == ["id", "anomaly_score", "is_anomaly", *errors]
    flagged = np.asarray(scores["is_anomaly"])
    ranks = np.asarray(scores["anomaly_score"])
    assert flagged.sum() == 6 and ranks[flagged].min() >= ranks[~flagged].max()


def test_denoise_warns_of_a_model_that_knows_no_noise(shelf: Path, tmp_path: Path) -> None:
    fitted = tmp_path / "denoising.safetensors"
    done("fit", shelf / "rows.csv", "--id", "id", "--noise", "masking:0.2", "-o", fitted, *FAST)
    plain = done("denoise", shelf / "model.safetensors", shelf / "rows.csv", "--id", "id")
    trained = done("denoise", fitted, shelf / "rows.csv", "--id", "id")
    assert "was not trained with noise" in plain.err
    assert "was not trained with noise" not in trained.err


def test_inspect_tells_the_same_in_words_and_as_json(shelf: Path) -> None:
    words = done("inspect", shelf / "model.safetensors").out.decode()
    facts = json.loads(done("inspect", shelf / "model.safetensors", "--json").out)
    assert facts["name"] == "Autoencoder" and facts["n_components"] == 2
    assert [column["name"] for column in facts["columns"]] == [*NUMBERS, "kind"]
    assert words.startswith("Autoencoder\n") and facts["baselines"]["conclusion"] in words


def test_an_ignored_column_is_neither_seen_nor_asked_for(shelf: Path, tmp_path: Path) -> None:
    model = tmp_path / "model.safetensors"
    ignoring = ["--id", "id", "--ignore", "kind", "--ignore", "depth"]
    done("fit", shelf / "rows.csv", *ignoring, "-o", model, *FAST)
    write(table().select(["height", "weight", "width"]), tmp_path / "less.csv")
    rows = answer_table(done("reconstruct", model, tmp_path / "less.csv"), tmp_path)
    assert rows.column_names == ["height", "width", "weight"]


@pytest.mark.parametrize("suffix", ["csv", "csv.gz", "tsv", "parquet", "arrow", "feather"])
def test_every_table_format_goes_in_and_out(suffix: str, shelf: Path, tmp_path: Path) -> None:
    # Given
    data, out = tmp_path / f"rows.{suffix}", tmp_path / f"codes.{suffix.removesuffix('.gz')}"
    if suffix == "csv.gz":
        import gzip

        data.write_bytes(gzip.compress((shelf / "rows.csv").read_bytes()))
    else:
        write(table(), data)
    # When
    answer = done("transform", shelf / "model.safetensors", data, "--id", "id", "-o", out)
    # Then
    assert answer.out == b"" and f"wrote 60 rows to {out}" in answer.err
    expected = done("transform", shelf / "model.safetensors", shelf / "rows.csv", "--id", "id")
    codes, wanted = read(out), answer_table(expected, tmp_path)
    assert codes.to_pydict()["id"] == wanted.to_pydict()["id"]
    for name in codes.column_names[1:]:
        np.testing.assert_allclose(codes[name].to_numpy(), wanted[name].to_numpy(), rtol=1e-4)


@pytest.mark.parametrize("suffix", ["npy", "npz"])
def test_arrays_go_in_and_out(suffix: str, shelf: Path, tmp_path: Path) -> None:
    matrix = read(shelf / "matrix.npy")
    data, out = tmp_path / f"rows.{suffix}", tmp_path / f"rebuilt.{suffix}"
    write(matrix, data)
    done("reconstruct", shelf / "matrix.safetensors", data, "-o", out)
    done("transform", shelf / "matrix.safetensors", data, "-o", tmp_path / "codes.csv")
    rebuilt, codes = read(out), read(tmp_path / "codes.csv")
    assert rebuilt.shape == matrix.shape and np.isfinite(rebuilt).all()
    assert codes.num_rows == 40 and codes.num_columns == 2


def test_one_array_of_many_is_chosen_by_its_key(shelf: Path, tmp_path: Path) -> None:
    matrix = read(shelf / "matrix.npy")
    np.savez(tmp_path / "many.npz", noise=matrix[:3] * 9, rows=matrix)
    model = shelf / "matrix.safetensors"
    chosen = done("score", model, tmp_path / "many.npz", "--key", "rows")
    assert chosen.out == done("score", model, shelf / "matrix.npy").out
    refused = run("score", model, tmp_path / "many.npz")
    assert refused.code in (2, 3) and "rows" in refused.err


def test_a_dash_reads_stdin_and_writes_stdout(shelf: Path, tmp_path: Path) -> None:
    # Given
    rows, model = (shelf / "rows.csv").read_bytes(), tmp_path / "model.safetensors"
    done("fit", "-", "--id", "id", "-o", model, *FAST, stdin=rows)
    # When
    piped = done("transform", model, "-", "--id", "id", "-o", "-", stdin=rows)
    # Then
    direct = done("transform", model, shelf / "rows.csv", "--id", "id")
    assert piped.out == direct.out != b""
    assert timeless(model) == timeless(shelf / "model.safetensors")


def test_stdout_takes_binary_formats_too(shelf: Path, tmp_path: Path) -> None:
    options = ["--id", "id", "--output-format", "parquet"]
    answer = done("transform", shelf / "model.safetensors", shelf / "rows.csv", *options)
    (tmp_path / "codes.parquet").write_bytes(answer.out)
    assert read(tmp_path / "codes.parquet").num_rows == 60


@pytest.mark.parametrize("command", ["reconstruct", "denoise"])
def test_a_folder_of_images_comes_back_under_the_same_names(
    command: str, shelf: Path, tmp_path: Path
) -> None:
    done(command, shelf / "images.safetensors", shelf / "images", "-o", tmp_path / "out")
    originals, answers = read_images(shelf / "images"), read_images(tmp_path / "out")
    assert answers.names == originals.names
    assert answers.pixels.shape == originals.pixels.shape
    assert answers.pixels.dtype == originals.pixels.dtype == np.uint8


def test_scores_and_codes_of_images_carry_the_file_names(shelf: Path, tmp_path: Path) -> None:
    for command in ("score", "transform"):
        answer = done(command, shelf / "images.safetensors", shelf / "images")
        files = answer_table(answer, tmp_path)["file"].to_pylist()
        assert files == [f"picture-{place:02}.png" for place in range(12)]


def test_a_stack_of_images_can_be_an_array(shelf: Path, tmp_path: Path) -> None:
    done("reconstruct", shelf / "images.safetensors", shelf / "images", "-o", tmp_path / "a.npy")
    done("sample", shelf / "images.safetensors", "-n", 3, "-o", tmp_path / "sampled")
    assert read(tmp_path / "a.npy").shape == (12, 8, 8)
    assert len(read_images(tmp_path / "sampled").names) == 3


def timeless(path: Path) -> tuple[bytes, str]:
    """Return the weights' bytes and the settings of a model file, less the training's clock."""
    content = path.read_bytes()
    start = 8 + int.from_bytes(content[:8], "little")
    config = json.loads(json.loads(content[8:start])["__metadata__"]["config"])
    return content[start:], json.dumps(config)


def test_the_same_seed_gives_the_same_model(shelf: Path, tmp_path: Path) -> None:
    for name, seed in (("one", 5), ("again", 5), ("other", 6)):
        out = tmp_path / f"{name}.safetensors"
        done("fit", shelf / "rows.csv", "--id", "id", "--seed", seed, "-o", out, *FAST)
    one, again, other = (
        timeless(tmp_path / f"{name}.safetensors") for name in ("one", "again", "other")
    )
    assert one == again != other


def test_several_models_are_one_file(shelf: Path, tmp_path: Path) -> None:
    model, rows = tmp_path / "ensemble.safetensors", shelf / "rows.csv"
    options = ["--id", "id", "--n-estimators", 3, "--n-components", 2, "--max-epochs", 2]
    told = done("fit", rows, *options, "-o", model).err
    assert "3 members, each of them Autoencoder" in told
    codes = answer_table(done("transform", model, rows, "--id", "id"), tmp_path)
    assert codes.num_columns == 1 + 3 * 2
    scores = answer_table(done("score", model, rows, "--id", "id"), tmp_path)
    assert scores.column_names == ["id", "anomaly_score"]


@pytest.mark.parametrize("command", ["sample", "reconstruct"])
def test_support_is_an_option_of_commands_that_answer_with_rows(command: str, shelf: Path) -> None:
    model, rows = shelf / "model.safetensors", shelf / "rows.csv"
    data = [rows] if command == "reconstruct" else []
    held, free = (done(command, model, *data, "--support", name) for name in ("column", "free"))
    assert held.out.count(b"\n") == free.out.count(b"\n")
    assert run(command, model, *data, "--support", "loose").code == 2


def test_far_codes_decode_within_the_support_or_freely(shelf: Path, tmp_path: Path) -> None:
    # Given: codes a hundred times as far out as those of the training rows.
    model, rows = shelf / "model.safetensors", shelf / "rows.csv"
    done("transform", model, rows, "-o", tmp_path / "codes.npy")
    write(100 * read(tmp_path / "codes.npy"), tmp_path / "far.npy")
    seen = read(rows)
    for support in ("column", "free"):
        # When
        words = ("--support", support, "-o", tmp_path / f"{support}.parquet")
        done("inverse-transform", model, tmp_path / "far.npy", *words)
        # Then
        answer = read(tmp_path / f"{support}.parquet")
        ends = [(answer[n].to_numpy(), seen[n].to_numpy()) for n in NUMBERS]
        within = all(low.min() >= known.min() and low.max() <= known.max() for low, known in ends)
        assert within == (support == "column")
