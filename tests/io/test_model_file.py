"""The model file: bit for bit the same back, or refused with a reason."""

import hashlib
import json
import os
from pathlib import Path

import numpy as np
import pytest

from latently.exceptions import DataError, ModelFileError, OutputExistsError
from latently.io._model_file import read_model, write_model

CONFIG = {"class": "Autoencoder", "n_components": 3, "names": ["é", "b"], "beta": 0.1, "x": None}
ARRAYS = {
    "b": np.arange(6, dtype=np.float32).reshape(2, 3),
    "a/é": np.array([True, False]),
    "empty": np.zeros((0, 3), np.int64),
    "half": np.array([np.nan, -0.0], np.float16),
    "count": np.array(7, np.int32),
    "byte": np.arange(3, dtype=np.uint8),
    "real": np.asfortranarray(np.arange(4.0).reshape(2, 2)),
}
WITH = {"latently": "0.1.0", "torch": "2.13"}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    write_model(tmp_path / "m.latently", CONFIG, ARRAYS, created_with=WITH)
    return tmp_path / "m.latently"


def refused(path: Path) -> ModelFileError:
    with pytest.raises(ModelFileError) as caught:
        read_model(path)
    assert len(str(caught.value)) <= 300 and caught.value.reason
    return caught.value


def rebuild(path: Path, change: object) -> None:
    """Write the file anew with its header changed."""
    raw = path.read_bytes()
    length = int.from_bytes(raw[:8], "little")
    header = json.loads(raw[8 : 8 + length])
    change(header)
    text = json.dumps(header, separators=(",", ":"), sort_keys=True).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + raw[8 + length :])


def test_a_model_comes_back_bit_for_bit(path: Path) -> None:
    config, arrays = read_model(path)
    assert config == CONFIG and set(arrays) == set(ARRAYS)
    for name, array in ARRAYS.items():
        back = arrays[name]
        assert back.dtype == array.dtype and back.shape == array.shape and back.flags.writeable
        assert back.tobytes() == np.ascontiguousarray(array).tobytes()


def test_the_same_model_gives_the_same_bytes_in_any_order(path: Path, tmp_path: Path) -> None:
    turned = dict(reversed(ARRAYS.items()))
    write_model(tmp_path / "n", dict(reversed(CONFIG.items())), turned, created_with=WITH)
    assert (tmp_path / "n").read_bytes() == path.read_bytes()


def test_a_model_without_arrays_is_a_model(tmp_path: Path) -> None:
    write_model(tmp_path / "m", {}, {})
    assert read_model(tmp_path / "m") == ({}, {})


def test_an_existing_model_is_kept_when_asked(path: Path) -> None:
    with pytest.raises(OutputExistsError):
        write_model(path, {}, {}, overwrite=False)
    assert read_model(path)[0] == CONFIG


def test_every_flipped_bit_is_refused(path: Path) -> None:
    sound = path.read_bytes()
    bits = np.random.default_rng(0).permutation(8 * len(sound))[:600]
    for bit in [*range(64), *bits.tolist()]:
        raw = bytearray(sound)
        raw[bit // 8] ^= 1 << bit % 8
        path.write_bytes(raw)
        refused(path)


def test_every_truncation_is_refused(path: Path) -> None:
    sound = path.read_bytes()
    for cut in np.linspace(0, len(sound) - 1, 64).astype(int):
        path.write_bytes(sound[:cut])
        refused(path)


CONTENT = {
    "empty": (b"", "truncated"),
    "short": (b"1234567", "truncated"),
    "huge header": (b"\xff" * 64, "not_a_model"),
    "header beyond the file": ((1000).to_bytes(8, "little") + b"{}", "truncated"),
    "header of zero": (bytes(64), "not_a_model"),
    "not JSON": ((8).to_bytes(8, "little") + b"{hello!}", "header"),
    "not UTF-8": ((8).to_bytes(8, "little") + b"{\xff\xff\xff\xff\xff\xff}", "not_a_model"),
    "not an object": ((8).to_bytes(8, "little") + b"[1,2,3] ", "not_a_model"),
    "nested deep": (
        (200_005).to_bytes(8, "little") + b'{"a":' + b"[" * 100_000 + b"]" * 100_000,
        "header",
    ),
    "repeated key": ((16).to_bytes(8, "little") + b'{"a":1,"a":1}   ', "header"),
    "NaN": ((10).to_bytes(8, "little") + b'{"a": NaN}', "header"),
    "1e999": ((12).to_bytes(8, "little") + b'{"a": 1e999}', "header"),
    "another program's": ((16).to_bytes(8, "little") + b'{"__metadata__":{}}'[:16], "header"),
}
LOOKS = {
    "pickle": (b"\x80\x04\x95" + bytes(100), "pickle"),
    "zip": (b"PK\x03\x04" + bytes(100), "ZIP"),
    "gzip": (b"\x1f\x8b\x08" + bytes(4) + b"\x01" + bytes(90), "gzip"),
    "HTML": (b"<!DOCTYPE html><html></html>", "HTML"),
    "LFS": (b"version https://git-lfs.github.com/spec/v1\n", "LFS"),
    "HDF5": (b"\x89HDF\r\n\x1a\n" + bytes(90), "HDF5"),
    "npy": (b"\x93NUMPY\x01\x00v\x00", "NumPy"),
}


@pytest.mark.parametrize("case", CONTENT)
def test_hostile_content_is_refused_with_its_reason(case: str, tmp_path: Path) -> None:
    content, reason = CONTENT[case]
    (tmp_path / "m").write_bytes(content)
    assert refused(tmp_path / "m").reason == reason


@pytest.mark.parametrize("case", LOOKS)
def test_other_files_are_named_for_what_they_look_like(case: str, tmp_path: Path) -> None:
    content, word = LOOKS[case]
    (tmp_path / "m").write_bytes(content)
    assert f"looks like a{'n' if word == 'HTML' or word == 'HDF5' else ''} " in str(
        refused(tmp_path / "m")
    ) and word in str(refused(tmp_path / "m"))


def set_field(name: str, field: str, value: object) -> object:
    return lambda header: header[name].update({field: value})


CHANGES = {
    "unknown dtype": (set_field("b", "dtype", "BF16"), "dtype"),
    "dtype is a list": (set_field("b", "dtype", ["F32"]), "dtype"),
    "negative length": (set_field("b", "shape", [-2, -3]), "shape"),
    "decimal length": (set_field("b", "shape", [2.0, 3]), "shape"),
    "truth as length": (set_field("b", "shape", [True, 6]), "shape"),
    "enormous length": (set_field("empty", "shape", [2**62, 0]), "shape"),
    "rank of nine": (set_field("count", "shape", [1] * 9), "shape"),
    "another size": (set_field("b", "shape", [2, 4]), "shape"),
    "end before start": (set_field("empty", "data_offsets", [9, 2]), "shape"),
    "three offsets": (set_field("b", "data_offsets", [0, 1, 2]), "layout"),
    "overlap": (set_field("b", "data_offsets", [0, 24]), "layout"),
    "further field": (set_field("b", "more", 1), "header"),
    "not an object": (lambda header: header.update(b=[1]), "header"),
    "a hole": (lambda header: header.pop("b"), "layout"),
    "path in a name": (lambda header: header.update({"a/../b": header.pop("b")}), "name"),
    "control character": (lambda header: header.update({"b\x01": header.pop("b")}), "name"),
    "long name": (lambda header: header.update({"b" * 300: header.pop("b")}), "name"),
    "renamed array": (lambda header: header.update(c=header.pop("b")), "checksum"),
    "no metadata": (lambda header: header.pop("__metadata__"), "not_a_model"),
    "missing metadata": (lambda header: header["__metadata__"].pop("sha256"), "metadata"),
    "further metadata": (set_field("__metadata__", "more", "x"), "metadata"),
    "metadata of numbers": (set_field("__metadata__", "config", 1), "metadata"),
    "changed config": (set_field("__metadata__", "config", "{}"), "checksum"),
    "newer format": (set_field("__metadata__", "format", "latently/2"), "newer_format"),
    "older format": (set_field("__metadata__", "format", "latently/0"), "not_a_model"),
    "foreign format": (set_field("__metadata__", "format", "pt"), "not_a_model"),
    "long config": (set_field("__metadata__", "config", "x" * 2**21), "too_large"),
    "many arrays": (
        lambda header: header.update(
            {f"t{i}": {"dtype": "U8", "shape": [0], "data_offsets": [0, 0]} for i in range(10_001)}
        ),
        "too_large",
    ),
}


@pytest.mark.parametrize("case", CHANGES)
def test_a_changed_header_is_refused_with_its_reason(case: str, path: Path) -> None:
    change, reason = CHANGES[case]
    rebuild(path, change)
    assert refused(path).reason == reason


@pytest.mark.parametrize("config", ["[]", "1", '{"a":1,"a":1}', '{"a":NaN}', "[" * 50 + "]" * 50])
def test_a_config_that_is_no_strict_object_is_refused_even_with_its_checksum(
    config: str, path: Path
) -> None:
    def change(header: dict) -> None:
        metadata = header["__metadata__"]
        text = f"{config}\n{metadata['created_with']}"
        metadata |= {"config": config, "config_sha256": hashlib.sha256(text.encode()).hexdigest()}

    rebuild(path, change)
    assert refused(path).reason == "config"


def test_the_message_of_a_newer_format_says_what_to_install(path: Path) -> None:
    rebuild(path, set_field("__metadata__", "format", "latently/2"))
    assert "latently 2.0 or newer" in str(refused(path))


def test_two_models_in_one_file_are_refused(path: Path) -> None:
    path.write_bytes(path.read_bytes() * 2)
    assert refused(path).reason == "trailing_bytes"


def test_a_header_in_another_spelling_is_refused(path: Path) -> None:
    raw = path.read_bytes()
    length = int.from_bytes(raw[:8], "little")
    text = json.dumps(json.loads(raw[8 : 8 + length]), indent=1).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + raw[8 + length :])
    assert refused(path).reason == "header"


def test_places_that_are_no_files_are_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    (tmp_path / "dangling").symlink_to(tmp_path / "nothing")
    for place in ("fifo", "loop", "dangling", "absent", ".", "nul\0", "n" * 10_000):
        refused(f"{tmp_path}/{place}")


def test_a_sparse_giant_is_refused_before_it_is_read(tmp_path: Path) -> None:
    with (tmp_path / "m").open("wb") as file:
        file.truncate(2**40)
    assert refused(tmp_path / "m").reason == "too_large"


@pytest.mark.parametrize(
    ("config", "arrays"),
    [
        ({"a": float("nan")}, {}),
        ({"a": {1, 2}}, {}),
        ({}, {"x": np.array(["text"])}),
        ({}, {"x": np.array([None])}),
        ({}, {"../x": np.zeros(1)}),
        ({"a": "x" * 2**21}, {}),
    ],
)
def test_what_cannot_be_written_down_is_refused(config: dict, arrays: dict, tmp_path: Path) -> None:
    with pytest.raises(ModelFileError):
        write_model(tmp_path / "m", config, arrays)
    assert not list(tmp_path.iterdir())


def test_a_model_is_not_written_through_a_link(path: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(path)
    with pytest.raises(DataError, match="regular file"):
        write_model(tmp_path / "link", {}, {})
    assert read_model(tmp_path / "link")[0] == CONFIG
