"""Folders of images: one size, one type, nothing lost silently."""

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from latently.exceptions import DataError, DataWarning, OutputExistsError, ParameterError
from latently.io import ImageFolder, read, read_images, write, write_images

RNG = np.random.default_rng(0)
GREY = RNG.integers(0, 256, (3, 6, 8), dtype=np.uint8)


def save(folder: Path, name: str, array: np.ndarray, **options: object) -> None:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path, **options)


def huge_png(width: int, height: int) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    chunk = b"IHDR" + header
    packed = struct.pack(">I", 13) + chunk + struct.pack(">I", zlib.crc32(chunk))
    return b"\x89PNG\r\n\x1a\n" + packed


@pytest.mark.parametrize(
    "stack",
    [
        GREY,
        RNG.integers(0, 256, (2, 5, 4, 3), dtype=np.uint8),
        RNG.integers(0, 65536, (2, 5, 4), dtype=np.uint16),
    ],
    ids=["grey", "colour", "deep grey"],
)
def test_a_stack_comes_back_as_it_was_written(stack: np.ndarray, tmp_path: Path) -> None:
    write_images(stack, tmp_path / "out")
    back = read(tmp_path / "out")
    assert np.array_equal(back.pixels, stack) and back.pixels.dtype == stack.dtype
    assert back.names[:2] == ("image_000000.png", "image_000001.png")


def test_names_in_sub_folders_come_back_sorted(tmp_path: Path) -> None:
    names = ("b/one.png", "a/one.png", "two words\n.png")
    write(ImageFolder(GREY, names), tmp_path / "out")
    back = read_images(tmp_path / "out")
    assert back.names == ("a/one.png", "b/one.png", "two words\n.png")
    assert np.array_equal(back.pixels, GREY[[1, 0, 2]])


def test_names_that_differ_only_in_their_ending_stay_apart(tmp_path: Path) -> None:
    write_images(GREY[:2], tmp_path / "out", ["a.jpg", "a.bmp"])
    assert read_images(tmp_path / "out").names == ("a.bmp.png", "a.jpg.png")


@pytest.mark.parametrize("names", [["a"], ["../a", "b", "c"], ["/a", "b", "c"], ["a", "a", "b"]])
def test_unfit_names_are_refused(names: list[str], tmp_path: Path) -> None:
    with pytest.raises(ParameterError, match="names"):
        write_images(GREY, tmp_path / "out", names)


def test_a_folder_with_files_is_not_written_into(tmp_path: Path) -> None:
    save(tmp_path, "old.png", GREY[0])
    with pytest.raises(OutputExistsError):
        write_images(GREY, tmp_path)
    write_images(GREY, tmp_path, overwrite=True)
    assert len(read_images(tmp_path).names) == 4


@pytest.mark.parametrize(
    "stack", [np.full((1, 2, 2), 1.5), np.full((1, 2, 2), np.nan), np.zeros((2, 2)), GREY[:0]]
)
def test_stacks_that_are_no_images_are_refused(stack: np.ndarray, tmp_path: Path) -> None:
    with pytest.raises(DataError):
        write_images(stack, tmp_path / "out")


def test_mixed_sizes_become_the_most_common_one(tmp_path: Path) -> None:
    for place, shape in enumerate([(6, 8), (6, 8), (9, 3)]):
        save(tmp_path, f"{place}.png", np.full(shape, 7, np.uint8))
    with pytest.warns(DataWarning, match="1 image of 3 resized to 6 x 8"):
        images = read_images(tmp_path)
    assert images.pixels.shape == (3, 6, 8) and (images.pixels == 7).all()


def test_of_equally_common_sizes_the_larger_wins(tmp_path: Path) -> None:
    save(tmp_path, "a.png", GREY[0, :3, :3])
    save(tmp_path, "b.png", GREY[0])
    with pytest.warns(DataWarning, match="6 x 8"):
        read_images(tmp_path)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_a_size_that_is_asked_for_needs_no_warning(dtype: type, tmp_path: Path) -> None:
    save(tmp_path, "a.tiff", np.full((6, 8), 1, dtype))
    pixels = read_images(tmp_path, size=(4, 5)).pixels
    assert pixels.shape == (1, 4, 5) and pixels.dtype == dtype and (pixels == 1).all()


def test_grey_among_colour_becomes_colour(tmp_path: Path) -> None:
    save(tmp_path, "a.png", GREY[0])
    save(tmp_path, "b.png", np.stack([GREY[1]] * 3, axis=-1))
    with pytest.warns(DataWarning, match="1 grey image of 2"):
        images = read_images(tmp_path)
    assert np.array_equal(images.pixels[0, :, :, 2], GREY[0])


def test_deep_images_among_plain_ones_are_scaled_and_not_clipped(tmp_path: Path) -> None:
    save(tmp_path, "a.png", np.full((2, 2), 31818, np.uint16))
    save(tmp_path, "b.tiff", np.full((2, 2), 0.5, np.float32))
    save(tmp_path, "c.png", np.full((2, 2), 200, np.uint8))
    with pytest.warns(DataWarning, match="2 images of 3 scaled to 8 bits"):
        images = read_images(tmp_path)
    assert images.pixels[:, 0, 0].tolist() == [124, 128, 200]


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_transparent_images_are_laid_over_white(mode: str, tmp_path: Path) -> None:
    clear = Image.new("RGBA", (3, 2), (0, 0, 0, 0))
    clear.convert(mode).save(tmp_path / "a.png", **({"transparency": 0} if mode == "P" else {}))
    assert (read_images(tmp_path).pixels == 255).all()


@pytest.mark.parametrize("mode", ["1", "CMYK", "P", "YCbCr"])
def test_other_modes_become_grey_or_colour(mode: str, tmp_path: Path) -> None:
    Image.new("RGB", (4, 4), (255, 255, 255)).convert(mode).save(tmp_path / "a.tiff")
    pixels = read_images(tmp_path).pixels
    assert pixels.dtype == np.uint8 and (pixels >= 254).all()


def test_the_orientation_of_the_camera_is_applied(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    save(tmp_path, "a.png", GREY[0], exif=exif)
    assert np.array_equal(read_images(tmp_path).pixels[0], np.rot90(GREY[0], -1))


def test_of_an_animation_the_first_frame_is_used(tmp_path: Path) -> None:
    frames = [Image.fromarray(frame) for frame in GREY]
    frames[0].save(tmp_path / "a.tiff", save_all=True, append_images=frames[1:])
    with pytest.warns(DataWarning, match="1 image with several frames"):
        images = read_images(tmp_path)
    assert np.array_equal(images.pixels[0], GREY[0])


def test_hidden_files_are_ignored_and_others_counted(tmp_path: Path) -> None:
    save(tmp_path, "a.png", GREY[0])
    for name in (".DS_Store", "Thumbs.db", ".hidden.png", "notes.txt"):
        (tmp_path / name).write_text("x")
    with pytest.warns(DataWarning, match="1 file in the folder ignored"):
        assert read_images(tmp_path).names == ("a.png",)


def test_a_loop_of_links_ends(tmp_path: Path) -> None:
    save(tmp_path, "sub/a.png", GREY[0])
    (tmp_path / "sub" / "up").symlink_to(tmp_path)
    assert read_images(tmp_path).names == ("sub/a.png",)


BAD = {
    "empty": b"",
    "text": b"hello",
    "svg": b"<svg xmlns='http://www.w3.org/2000/svg'/>",
    "eps": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n",
    "no pixels": huge_png(0, 0),
    "no data": huge_png(9, 9),
    "400 megapixels": huge_png(20_000, 20_000),
    "2**31 wide": huge_png(2**31 - 1, 2**31 - 1),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_image_is_refused_by_name_or_skipped_and_counted(case: str, tmp_path: Path) -> None:
    save(tmp_path, "a.png", GREY[0])
    save(tmp_path, "c.png", GREY[2])
    (tmp_path / "b.png").write_bytes(BAD[case])
    with pytest.raises(DataError, match=r"b\.png: .*skip_bad") as caught:
        read_images(tmp_path)
    assert len(str(caught.value)) <= 300
    with pytest.warns(DataWarning, match=r"1 unreadable image skipped: 'b\.png'"):
        images = read_images(tmp_path, skip_bad=True)
    assert images.names == ("a.png", "c.png") and np.array_equal(images.pixels, GREY[[0, 2]])


@pytest.mark.parametrize("suffix", ["png", "jpg", "gif", "bmp", "webp", "tiff", "ppm"])
def test_cut_images_are_refused_and_never_another_error(suffix: str, tmp_path: Path) -> None:
    save(tmp_path, f"a.{suffix}", np.tile(GREY[0], (20, 20)))
    path = tmp_path / f"a.{suffix}"
    sound = path.read_bytes()
    for cut in np.linspace(4, len(sound) // 2, 12).astype(int):
        path.write_bytes(sound[:cut])
        with pytest.raises(DataError, match=f"a.{suffix}"):
            read_images(tmp_path)


def test_infinite_pixels_are_refused(tmp_path: Path) -> None:
    save(tmp_path, "a.tiff", np.array([[0.5, np.nan]], np.float32))
    with pytest.raises(DataError, match="NaN"):
        read_images(tmp_path)


def test_a_stack_that_would_fill_the_memory_is_refused(tmp_path: Path) -> None:
    save(tmp_path, "a.png", np.zeros((100, 100), np.uint8))
    with pytest.raises(DataError, match="max_bytes"):
        read_images(tmp_path, max_bytes=9_999)
    with pytest.raises(DataError, match="max_pixels"):
        read_images(tmp_path, max_pixels=9_999)


def test_a_folder_without_images_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(DataError, match="no image, only 1 other file"):
        read(tmp_path)


def test_a_size_must_be_positive(tmp_path: Path) -> None:
    save(tmp_path, "a.png", GREY[0])
    with pytest.raises(ParameterError, match="size"):
        read_images(tmp_path, size=0)


SMOOTH = np.add.outer(np.arange(24) * 5, np.arange(20) * 6).astype(np.uint8)
COLOUR = np.dstack([SMOOTH, 255 - SMOOTH, SMOOTH // 2])
ALPHA = np.add.outer(np.arange(24), np.arange(20) * 13).astype(np.uint8)
CLEAR = np.dstack([COLOUR, ALPHA])
#: Name of the file, its pixels, and the mode that they are converted to.
AS_THEY_WERE = {
    "grey.png": (SMOOTH, None),
    "colour.png": (COLOUR, None),
    "clear.png": (CLEAR, None),
    "clear grey.png": (np.dstack([SMOOTH, ALPHA]), None),
    "deep.png": (SMOOTH.astype(np.uint16) * 250, None),
    "one bit.png": (SMOOTH, "1"),
    "real.tif": (SMOOTH * np.float32(3.3) - 20, None),
    "deep.tif": (SMOOTH.astype(np.uint16) * 250, None),
    "whole.tiff": (SMOOTH.astype(np.int32) * 250, None),
    "clear.tif": (CLEAR, None),
    "one bit.tif": (SMOOTH, "1"),
    "colour.webp": (COLOUR, None),
    "clear.webp": (CLEAR, None),
    "colour.bmp": (COLOUR, None),
    "colour.ppm": (COLOUR, None),
    "deep.pgm": (SMOOTH.astype(np.uint16) * 250, None),
}


def opened(path: Path) -> Image.Image:
    with Image.open(path) as image:
        image.load()
        return image


@pytest.mark.parametrize("name", AS_THEY_WERE)
def test_a_file_comes_back_as_it_was(name: str, tmp_path: Path) -> None:
    pixels, mode = AS_THEY_WERE[name]
    (tmp_path / "in" / "sub").mkdir(parents=True)
    before = tmp_path / "in" / "sub" / name
    image = Image.fromarray(pixels)
    image = image if mode is None else image.convert(mode)
    image.save(before, **({"lossless": True} if name.endswith("webp") else {}))

    write(read_images(tmp_path / "in"), tmp_path / "out")

    one, other = opened(before), opened(tmp_path / "out" / "sub" / name)
    assert (one.format, one.mode, one.size) == (other.format, other.mode, other.size)
    assert np.array_equal(np.asarray(one), np.asarray(other))


def test_images_over_white_are_those_given_and_transparency_is_kept(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    save(tmp_path / "in", "a.png", CLEAR)
    read_ = read_images(tmp_path / "in")
    darker = (read_.pixels * 0.9).astype(np.uint8)

    write_images(darker, tmp_path / "out", like=read_)

    back = np.asarray(opened(tmp_path / "out" / "a.png"))
    opaque = ALPHA > 230
    assert np.array_equal(back[..., 3], ALPHA)
    assert np.array_equal(back[ALPHA == 0], CLEAR[ALPHA == 0])
    assert (
        np.abs(read_images(tmp_path / "out").pixels[0][opaque] - 1.0 * darker[0][opaque]).max() < 3
    )


@pytest.mark.parametrize(
    ("name", "mode", "words"),
    [
        ("a.jpg", "RGB", "1 JPEG image written again"),
        ("a.gif", "P", "1 image with a palette"),
        ("a.png", "P", "1 image with a palette"),
        ("a.tif", "CMYK", "1 image in CMYK or another colour space written as RGB"),
    ],
)
def test_what_a_file_cannot_keep_is_said(name: str, mode: str, words: str, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    Image.fromarray(COLOUR).convert(mode).save(tmp_path / "in" / name)
    folder = read_images(tmp_path / "in")
    with pytest.warns(DataWarning, match=words):
        write(folder, tmp_path / "out")
    kind = "RGB" if mode == "CMYK" else mode
    assert opened(tmp_path / "out" / name).mode == kind
    assert np.abs(read_images(tmp_path / "out").pixels - 1.0 * folder.pixels).max() < 12


def test_a_transparent_colour_of_a_gif_stays(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    Image.fromarray(COLOUR).quantize(32).save(tmp_path / "in" / "a.gif", transparency=3)
    with pytest.warns(DataWarning, match="palette"):
        write(read_images(tmp_path / "in"), tmp_path / "out")
    one, other = (opened(tmp_path / part / "a.gif").convert("RGBA") for part in ("in", "out"))
    assert np.array_equal(np.asarray(one)[..., 3], np.asarray(other)[..., 3])


def test_files_of_a_mixed_folder_come_back_each_in_its_mode(tmp_path: Path) -> None:
    for name, pixels in {
        "a.png": SMOOTH, "b.png": SMOOTH.astype(np.uint16) * 257,
        "c.tif": (SMOOTH / 255).astype(np.float32), "d.png": COLOUR, "e.png": CLEAR,
    }.items():  # fmt: skip
        (tmp_path / "in").mkdir(exist_ok=True)
        save(tmp_path / "in", name, pixels)
    with pytest.warns(DataWarning, match="turned into colour|scaled to 8 bits"):
        folder = read_images(tmp_path / "in")
    write(folder, tmp_path / "out")
    for name in folder.names:
        one, other = (opened(tmp_path / part / name) for part in ("in", "out"))
        assert one.mode == other.mode
        top = {"I;16": 65_535, "F": 1}.get(one.mode, 255)
        assert np.abs(np.asarray(one) - 1.0 * np.asarray(other)).max() < 0.005 * top


def test_profile_resolution_and_packing_are_kept(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    save(tmp_path / "in", "a.tif", COLOUR, compression="tiff_lzw", dpi=(300, 300))
    save(tmp_path / "in", "b.png", COLOUR, icc_profile=b"profile")
    write(read_images(tmp_path / "in"), tmp_path / "out")
    packed, coloured = (opened(tmp_path / "out" / name) for name in ("a.tif", "b.png"))
    assert packed.info["compression"] == "tiff_lzw" and packed.info["dpi"] == (300, 300)
    assert coloured.info["icc_profile"] == b"profile"


def test_16_bits_in_colour_are_said_to_be_read_with_8(tmp_path: Path) -> None:
    raw = np.zeros((4, 5, 3), ">u2").tobytes()
    (tmp_path / "a.ppm").write_bytes(b"P6 5 4 65535\n" + raw)
    with pytest.warns(DataWarning, match="1 image of 1 of 16 bits in colour read with 8"):
        read_images(tmp_path)


def test_files_and_images_must_match(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    save(tmp_path / "in", "a.png", SMOOTH)
    folder = read_images(tmp_path / "in")
    with pytest.raises(ParameterError, match="one file per image"):
        write_images(GREY, tmp_path / "out", like=folder)
    with pytest.raises(ParameterError, match="names and like"):
        write_images(folder.pixels, tmp_path / "out", ["b"], like=folder)
    with pytest.raises(DataError, match="do not fit into uint8"):
        write_images(folder.pixels.astype(float), tmp_path / "out", like=folder)
