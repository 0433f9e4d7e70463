"""From a folder of images to the end of a command: used, counted, or refused by name."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from tests.trust.test_tables import WORKS, hold, refused, run, warned

pytestmark = pytest.mark.trust("images")

RNG = np.random.default_rng(0)
PIXELS = RNG.integers(0, 256, (12, 8, 8), dtype=np.uint8)


def encoded(pixels, kind="png", **options):
    sink = io.BytesIO()
    Image.fromarray(pixels).save(sink, kind, **options)
    return sink.getvalue()


def converted(mode, kind="png"):
    sink = io.BytesIO()
    Image.fromarray(PIXELS[0]).convert(mode).save(sink, kind)
    return sink.getvalue()


def header_only(width, height):
    chunk = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    crc = struct.pack(">I", zlib.crc32(chunk))
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + chunk + crc


def flat(width, height):
    """Return a sound PNG of one colour, tiny for its size."""
    return encoded(np.zeros((height, width), np.uint8))


def wrong_crc():
    raw = bytearray(encoded(PIXELS[0]))
    raw[raw.index(b"IDAT") + 6] ^= 1
    return bytes(raw)


def animation():
    sink = io.BytesIO()
    frames = [Image.fromarray(pixels) for pixels in PIXELS[:3]]
    frames[0].save(sink, "gif", save_all=True, append_images=frames[1:])
    return sink.getvalue()


def turned():
    sink = io.BytesIO()
    picture = Image.fromarray(PIXELS[0])
    exif = picture.getexif()
    exif[0x0112] = 6
    picture.save(sink, "jpeg", exif=exif)
    return sink.getvalue()


DEEP = (PIXELS[0].astype(np.uint16) * 257, PIXELS[0].astype(np.float32) / 255)
SVG = b"<svg xmlns='http://www.w3.org/2000/svg'/>"
EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n"

CASES = {
    "zero bytes": ("b.png", b"", refused("b.png")),
    "text": ("b.png", b"hello", refused("b.png")),
    "SVG": ("b.png", SVG, refused("b.png")),
    "EPS": ("b.png", EPS, refused("b.png")),
    "0 x 0": ("b.png", header_only(0, 0), refused("b.png")),
    "no data": ("b.png", header_only(9, 9), refused("b.png")),
    "truncated PNG": ("b.png", encoded(PIXELS[0])[:60], refused("b.png")),
    "truncated JPEG": ("b.jpg", encoded(PIXELS[0], "jpeg")[:200], refused("b.jpg")),
    "a wrong checksum": ("b.png", wrong_crc(), refused("b.png")),
    "CMYK": ("b.jpg", converted("CMYK", "jpeg"), warned("12 grey images")),
    "palette": ("b.png", converted("P"), warned("12 grey images")),
    "grey and transparency": ("b.png", converted("LA"), WORKS),
    "colour and transparency": ("b.png", converted("RGBA"), warned("12 grey images")),
    "one bit": ("b.png", converted("1"), WORKS),
    "16 bits": ("b.png", encoded(DEEP[0]), warned("scaled to 8 bits")),
    "real numbers": ("b.tiff", encoded(DEEP[1], "tiff"), warned("scaled to 8 bits")),
    "NaN": ("b.tiff", encoded(DEEP[1] * np.float32(np.nan), "tiff"), refused("NaN")),
    "an animation": ("b.gif", animation(), warned("first")),
    "turned by the camera": ("b.jpg", turned(), WORKS),
    "400 megapixels in a header": ("b.png", header_only(20_000, 20_000), refused("b.png")),
    "64 megapixels in 62 kB": ("b.png", flat(8_000, 8_000), refused("max_pixels")),
    "2^31 wide": ("b.png", header_only(2**31 - 1, 2**31 - 1), refused("b.png")),
    "1 x 1": ("b.png", flat(1, 1), warned("8 x 8")),
    "another size": ("b.png", flat(20, 9), warned("8 x 8")),
    "PNG named .jpg": ("b.jpg", encoded(PIXELS[0]), WORKS),
    "JPEG and a ZIP": ("b.jpg", encoded(PIXELS[0], "jpeg") + b"PK\x03\x04" + bytes(50), WORKS),
    "colour among grey": ("b.png", converted("RGB"), warned("12 grey images")),
    "a name of other letters": ("ä ö\n€.png", encoded(PIXELS[0]), WORKS),
    "a name of 255 bytes": ("n" * 251 + ".png", encoded(PIXELS[0]), WORKS),
    "a hidden file": (".DS_Store", b"x", WORKS),
    "a file of the system": ("Thumbs.db", b"x", WORKS),
    "a note": ("notes.txt", b"x", warned("1 file in the folder ignored")),
    "a file below": ("deep/er/b.png", encoded(PIXELS[0]), WORKS),
    "a name twice, in two folders": ("deep/image0.png", encoded(PIXELS[0]), WORKS),
}


@pytest.fixture
def pictures(tmp_path):
    folder = tmp_path / "pictures"
    folder.mkdir()
    for place, pixels in enumerate(PIXELS):
        (folder / f"image{place}.png").write_bytes(encoded(pixels))
    return folder


@pytest.mark.parametrize("case", CASES)
def test_a_picture_among_others(case, pictures, tmp_path, outcome):
    name, content, said = CASES[case]
    path = pictures / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    words = ["fit", pictures, "-o", tmp_path / "m", "--n-components", 1, "--max-epochs", 1]
    hold(run(*words, "--quiet"), said, outcome)
    assert (tmp_path / "m").exists() == (said.code == 0)
    if said.code and "max_pixels" not in said.words:
        again = run(*words, "--quiet", "--skip-bad")
        hold(again, warned("1 unreadable image skipped"), outcome)


def test_an_empty_folder(tmp_path, outcome):
    (tmp_path / "empty").mkdir()
    hold(run("fit", tmp_path / "empty", "-o", tmp_path / "m"), refused("empty"), outcome)


def test_a_loop_of_links(pictures, tmp_path, outcome):
    (pictures / "again").symlink_to(pictures)
    words = ["fit", pictures, "-o", tmp_path / "m", "--n-components", 1, "--max-epochs", 1]
    hold(run(*words, "--quiet"), WORKS, outcome)


def test_images_smaller_than_the_network_can_halve(tmp_path, outcome):
    (tmp_path / "tiny").mkdir()
    for place in range(4):
        (tmp_path / "tiny" / f"{place}.png").write_bytes(flat(1, 1))
    words = ["fit", tmp_path / "tiny", "-o", tmp_path / "m", "--n-components", 1]
    hold(run(*words, "--max-epochs", 1, "--quiet"), WORKS, outcome)


def test_names_stay_beside_their_rows_where_one_is_skipped(pictures, tmp_path, outcome):
    words = ["--n-components", 1, "--max-epochs", 1, "--quiet"]
    assert run("fit", pictures, "-o", tmp_path / "m", *words).exit_code == 0
    run("score", tmp_path / "m", pictures, "-o", tmp_path / "all.csv")
    (pictures / "image3.png").write_bytes(b"damaged")
    result = run("score", tmp_path / "m", pictures, "-o", tmp_path / "some.csv", "--skip-bad")
    hold(result, warned("1 unreadable image skipped"), outcome)
    every = (tmp_path / "all.csv").read_text().splitlines()
    some = (tmp_path / "some.csv").read_text().splitlines()
    assert some == [line for line in every if "image3.png" not in line]
