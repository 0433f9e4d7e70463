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
    options = ("--max-epochs", 1, "--n-components", 2, "--quiet", "--images")
    assert run("fit", tmp_path / "stack.npy", "-o", path, *options).exit_code == 0
    result = run("reconstruct", path, tmp_path / "stack.npy", "-o", tmp_path / "out")
    assert result.exit_code == 0, result.stderr
    assert "written with 8 bits a channel. -o FILE.npy" in result.stderr
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


def shade(place):
    """Return a smooth picture in [0, 1], darker from left to right."""
    y, x = np.mgrid[:24, :20]
    return (1 + np.sin(y / 5 + place) * np.cos(x / 4)) / 2


@pytest.fixture(scope="module")
def scans(tmp_path_factory):
    """Folders of one picture each in several types of file, and a U-net of some of them."""
    root = tmp_path_factory.mktemp("scans")
    for place in range(8):
        grey = shade(place)
        eight = np.rint(grey * 255).astype(np.uint8)
        clear = np.dstack([eight, eight, eight, np.full_like(eight, 90)])
        files = {
            "grey": ("png", eight),
            "deep": ("tif", np.rint(grey * 65_535).astype(np.uint16)),
            "twelve": ("png", np.rint(grey * 4_095).astype(np.uint16)),
            "dim": ("tif", (grey / 100).astype(np.float32)),
            "raw": ("tif", (grey * 3_000 + 500).astype(np.float32)),
            "clear": ("png", clear),
        }
        for folder, (ending, pixels) in files.items():
            (root / folder).mkdir(exist_ok=True)
            Image.fromarray(pixels).save(root / folder / f"{place}.{ending}")
    return root


@pytest.fixture(scope="module")
def fitted_on(scans):
    from latently.estimators import UNetAutoencoder
    from latently.io import read_images

    def fit(name):
        path = scans / f"{name}.safetensors"
        if not path.exists():
            model = UNetAutoencoder(channels=(4, 8), max_epochs=1, random_state=0)
            model.fit(read_images(scans / name).pixels).save(path)
        return path

    return fit


@pytest.mark.parametrize(
    ("model", "folder"),
    [
        ("grey", "grey"),
        ("dim", "dim"),
        ("raw", "raw"),
        ("clear", "clear"),
        ("grey", "deep"),
        ("deep", "grey"),
        ("twelve", "twelve"),
    ],
)
def test_denoised_files_are_what_they_were_but_for_the_noise(
    run, scans, fitted_on, model, folder, tmp_path
):
    result = run("denoise", fitted_on(model), scans / folder, "-o", tmp_path / "out")
    assert result.exit_code == 0, result.stderr
    for path in (scans / folder).iterdir():
        with Image.open(path) as before, Image.open(tmp_path / "out" / path.name) as after:
            assert (before.format, before.mode) == (after.format, after.mode)
            one, other = np.asarray(before, float), np.asarray(after, float)
        assert np.abs(one - other).mean() < 0.05 * (one.max() - one.min())
        if folder == "clear":
            assert (other[..., 3] == 90).all()
    coarse = (model, folder) == ("grey", "deep")
    assert ("uint16 images have the grey levels of the model, uint8" in result.stderr) == coarse


@pytest.mark.parametrize(("model", "folder"), [("grey", "twelve"), ("raw", "grey")])
def test_files_of_another_scale_are_refused(run, scans, fitted_on, model, folder, tmp_path):
    result = run("denoise", fitted_on(model), scans / folder, "-o", tmp_path / "out")
    assert result.exit_code == 3
    assert "must be on the scale of fit" in result.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "verb", [("fit", "-o", "m"), ("detect", "-o", "m"), ("tune", "-o", "m"), ("impute",)], ids=str
)
def test_an_array_of_windows_is_refused_unless_it_is_said_to_hold_images(run, verb, tmp_path):
    windows = np.random.default_rng(0).normal(size=(20, 12, 3))
    np.save(tmp_path / "windows.npy", windows)
    name, *options = verb
    result = run(name, tmp_path / "windows.npy", *options)
    assert result.exit_code == 3
    assert "Add --images for images, or flatten windows to a table" in result.stderr


def test_images_is_refused_where_there_are_none(run, table):
    result = run("fit", table, "-o", "m", "--images")
    assert result.exit_code == 2
    assert "--images needs an array of 3 or 4 axes" in result.stderr


def test_a_folder_of_real_images_of_any_range_needs_no_option(run, scans, tmp_path):
    options = ("--max-epochs", 1, "--n-components", 2, "--quiet")
    assert run("fit", scans / "raw", "-o", tmp_path / "m", *options).exit_code == 0
    assert run("detect", scans / "raw", "-o", tmp_path / "d", "--quiet").exit_code == 0


@pytest.mark.parametrize("kind", ["memory", "robust", "ensemble"])
def test_any_model_denoises_or_is_named_as_no_denoiser(run, kind, tmp_path):
    from latently.estimators import Autoencoder, EnsembleAutoencoder, NeighborAutoencoder

    X = np.random.default_rng(0).normal(size=(40, 3))
    np.save(tmp_path / "rows.npy", X)
    models = {
        "memory": NeighborAutoencoder(),
        "robust": NeighborAutoencoder(robust=True),
        "ensemble": EnsembleAutoencoder(Autoencoder(1, max_epochs=1), n_estimators=2),
    }
    models[kind].fit(X).save(tmp_path / "m")
    result = run("denoise", tmp_path / "m", tmp_path / "rows.npy", "-o", tmp_path / "out.csv")
    assert result.exit_code == 0, result.stderr
    words = {"memory": "wrote", "robust": "is not trained with noise", "ensemble": "not trained"}
    assert words[kind] in result.stderr
    assert ("warning" in result.stderr) == (kind != "memory")


def test_a_unet_takes_an_array_of_images_of_any_range(run, tmp_path):
    np.save(tmp_path / "stack.npy", np.stack([shade(place) * 3_000 + 500 for place in range(6)]))
    options = ("--kind", "unet", "--max-epochs", 1, "--hidden-sizes", "4,8", "--quiet")
    fitted = run("fit", tmp_path / "stack.npy", "-o", tmp_path / "m", *options)
    assert fitted.exit_code == 0, fitted.stderr
    result = run("denoise", tmp_path / "m", tmp_path / "stack.npy", "-o", tmp_path / "out.npy")
    assert result.exit_code == 0, result.stderr
    assert np.load(tmp_path / "out.npy").min() > 400
