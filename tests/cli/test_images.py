"""Folders of images in, folders of images out."""

import numpy as np
import pytest
from PIL import Image


@pytest.fixture
def pictures(folder):
    return folder / "pictures"


@pytest.fixture
def image_model(folder):
    return folder / "pictures.safetensors"


def test_codes_of_images_decode_to_images(run, image_model, pictures, tmp_path):
    run("transform", image_model, pictures, "-o", tmp_path / "codes.npy", "--output-format", "npy")
    run("transform", image_model, pictures, "-o", tmp_path / "codes.csv")
    result = run("inverse-transform", image_model, tmp_path / "codes.csv", "-o", tmp_path / "back")
    assert result.exit_code == 0, result.stderr
    assert len(list((tmp_path / "back").iterdir())) == 24


def test_images_of_another_size_are_brought_to_that_of_the_model(run, image_model, tmp_path):
    (tmp_path / "large").mkdir()
    Image.fromarray(np.full((16, 16), 90, np.uint8)).save(tmp_path / "large" / "a.png")
    result = run("score", image_model, tmp_path / "large")
    assert result.exit_code == 0
    assert "warning" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("reconstruct",), "Give -o FOLDER"),
        (("reconstruct", "-o", "out.csv"), "Give -o FOLDER"),
        (("score", "--per-feature"), "needs a table"),
        (("score", "--id", "name"), "needs a table"),
        (("score", "-o", "folder"), "names no table format"),
    ],
)
def test_what_images_cannot_do_is_a_usage_error(run, image_model, pictures, arguments, words):
    verb, *options = arguments
    result = run(verb, image_model, pictures, *options)
    assert result.exit_code == 2
    assert words in result.stderr


def test_decimal_stacks_become_pngs_by_their_range(run, tmp_path):
    stack = np.random.default_rng(0).uniform(0, 16, size=(20, 3, 6, 6))
    np.save(tmp_path / "stack.npy", stack)
    path = tmp_path / "model.safetensors"
    options = ("--max-epochs", 1, "--n-components", 2, "--quiet")
    assert run("fit", tmp_path / "stack.npy", "-o", path, *options).exit_code == 0
    result = run("reconstruct", path, tmp_path / "stack.npy", "-o", tmp_path / "out")
    assert result.exit_code == 0, result.stderr
    with Image.open(tmp_path / "out" / "image_000000.png") as image:
        assert (image.mode, image.size) == ("RGB", (6, 6))


def test_noise_is_taken_off_a_folder_of_images_of_any_size(run, tmp_path):
    rng = np.random.default_rng(0)
    sizes = {"a": (20, 24), "b": (33, 17), "deep/c": (24, 20)}
    for name, size in sizes.items():
        (tmp_path / "photos" / name).parent.mkdir(parents=True, exist_ok=True)
        pixels = rng.integers(60, 180, (*size, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / "photos" / f"{name}.png")
    model, out = tmp_path / "unet.safetensors", tmp_path / "out"

    options = (
        "--kind",
        "unet",
        "--max-epochs",
        1,
        "--hidden-sizes",
        "8,16",
        "--noise",
        "gaussian:0.2",
    )
    done = [
        run("fit", tmp_path / "photos", "-o", model, *options),
        run("denoise", model, tmp_path / "photos", "-o", out),
        run("transform", model, tmp_path / "photos", "-o", tmp_path / "codes.csv"),
    ]

    assert [result.exit_code for result in done] == [0, 0, 0], done[-1].stderr
    for name, (height, width) in sizes.items():
        with Image.open(out / f"{name}.png") as image:
            assert (image.mode, image.size) == ("RGB", (width, height))
    refused = run("fit", tmp_path / "photos", "-o", "x.safetensors", *options, "--n-components", 4)
    assert refused.exit_code == 2
    assert "--n-components does not belong to --kind unet" in refused.stderr
    drawn = run("sample", model, "-o", tmp_path / "drawn")
    assert drawn.exit_code == 4
    assert "from which nothing can be drawn" in drawn.stderr
