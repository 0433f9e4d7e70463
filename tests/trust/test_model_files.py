"""Every model file that is damaged, foreign, forged or a bomb is refused, in few words and at once.

The numbers are those of the list in ``docs/trust.md``.
"""

import copy
import gzip
import hashlib
import io
import json
import os
import time
import tracemalloc
import zipfile

import numpy as np
import pytest
from sklearn.base import clone

from latently import (
    AnomalyDetector,
    Autoencoder,
    AutoencoderImputer,
    ConvolutionalAutoencoder,
    DenseNetwork,
    ImputationAutoencoder,
    LatentSampler,
    SparseAutoencoder,
    VariationalAutoencoder,
    load,
)
from latently.exceptions import ModelFileError
from latently.io._model_file import read_model, write_model
from tests.contract.samples import answers, matrix, same, stack, transactions

pytestmark = pytest.mark.trust("model files")

QUICK = {"max_epochs": 1, "random_state": 0, "engine": "cpu"}
SMALL = DenseNetwork((8,))
MODELS = {
    "table": (Autoencoder(2, network=SMALL, **QUICK), transactions("pyarrow")),
    "images": (ConvolutionalAutoencoder(2, **QUICK), stack(20, 6, 6)),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Holds a model of a mixed table and one of images."""
    root = tmp_path_factory.mktemp("models")
    for name, (model, rows) in MODELS.items():
        clone(model).fit(rows).save(root / name)
    return root


def refused(path):
    """Hold a refusal against the rules for all of them, and return its reason."""
    size = path.stat().st_size if isinstance(path, os.PathLike) and path.is_file() else 0
    tracemalloc.start()
    began = time.perf_counter()
    with pytest.raises(ModelFileError) as caught:
        load(path)
    took, (_, peak) = time.perf_counter() - began, tracemalloc.get_traced_memory()
    tracemalloc.stop()
    words = str(caught.value)
    assert len(words) <= 300 and "\n" not in words
    assert caught.value.__cause__ is None
    if size < 2**30:  # what is larger is not read at all
        assert took < 5 and peak < 2 * size + 2**26
    return caught.value.reason


# ---------------------------------------------------------------- the bytes
def header_of(raw):
    length = int.from_bytes(raw[:8], "little")
    return json.loads(raw[8 : 8 + length]), raw[8 + length :]


def packed(header, body):
    text = (
        header
        if isinstance(header, bytes)
        else json.dumps(header, sort_keys=True, separators=(",", ":")).encode()
    )
    return len(text).to_bytes(8, "little") + text + body


def with_header(change):
    """Return a change of a whole file by a change of its header; names are of its first array."""

    def act(raw):
        header, body = header_of(raw)
        name = min(name for name in header if name != "__metadata__")
        change(header, name)
        return packed(header, body)

    return act


def put(field, value):
    return with_header(lambda header, name: header[name].update({field: value}))


def meta(field, value):
    return with_header(lambda header, _: header["__metadata__"].update({field: value}))


def rename(new):
    return with_header(lambda header, name: header.update({new: header.pop(name)}))


def text_of(start):
    return lambda raw: start + b"\n" * 100


def zipped(raw):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        file.writestr("model", raw[:1000])
    return buffer.getvalue()


def raw_header(text):
    return lambda raw: packed(text, header_of(raw)[1])


def many(n):
    entry = {"dtype": "U8", "shape": [0], "data_offsets": [0, 0]}
    return with_header(lambda header, _: header.update({f"t{i}": entry for i in range(n)}))


BYTES = {
    "1 zero bytes": (lambda raw: b"", "truncated"),
    "2 seven bytes": (lambda raw: raw[:7], "truncated"),
    "3 header of 2^64 - 1": (lambda raw: b"\xff" * 8 + raw[8:], "not_a_model"),
    "4 header beyond the file": (lambda raw: (2**21).to_bytes(8, "little") + raw[8:], "truncated"),
    "5 header over 4 MiB": (lambda raw: packed(b"{" + b" " * 2**23, b""), "not_a_model"),
    "6 no JSON": (raw_header(b"{hello}"), "header"),
    "7 no UTF-8": (raw_header(b'{"\xff\xfe": 1}'), "not_a_model"),
    "8 no object": (raw_header(b"[1, 2]"), "not_a_model"),
    "9 nested 100,000 deep": (raw_header(b'{"a":' + b"[" * 10**5 + b"]" * 10**5 + b"}"), "header"),
    "10 a key twice": (raw_header(b'{"a": 1, "a": 1}'), "header"),
    "11 NaN": (raw_header(b'{"a": NaN}'), "header"),
    "11 Infinity": (raw_header(b'{"a": -Infinity}'), "header"),
    "12 a real length": (put("shape", [2.0, 3]), "shape"),
    "12 a length in words": (put("shape", ["2"]), "shape"),
    "12 a length of 2^63": (put("shape", [2**63]), "shape"),
    "13 a negative length": (put("shape", [-1]), "shape"),
    "13 a negative offset": (put("data_offsets", [-8, 0]), "layout"),
    "14 an end before the beginning": (put("data_offsets", [9, 1]), "shape"),
    "16 a hole": (with_header(lambda header, name: header.pop(name)), "layout"),
    "17 trailing bytes": (lambda raw: raw + b"PK\x03\x04", "trailing_bytes"),
    "19 a product beyond 64 bits": (put("shape", [2**40, 2**40]), "shape"),
    "20 another size": (put("shape", [3, 3, 3]), "shape"),
    "21 an unknown type": (put("dtype", "F8_E4M3"), "dtype"),
    "23 10,001 arrays": (many(10_001), "too_large"),
    "23 500,000 arrays": (
        raw_header(
            b'{"t":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}'
            + b',"t":{"dtype":"U8"}' * 500_000
        ),
        "not_a_model",
    ),
    "24 rank of nine": (put("shape", [1] * 9), "shape"),
    "25 a length of 2^62 and none": (put("shape", [2**62, 0]), "shape"),
    "29 a way out": (rename("a/../b"), "name"),
    "29 NUL": (rename("a\0b"), "name"),
    "29 a long name": (rename("n" * 257), "name"),
    "30 no metadata": (with_header(lambda header, _: header.pop("__metadata__")), "not_a_model"),
    "30 a missing key": (
        with_header(lambda header, _: header["__metadata__"].pop("sha256")),
        "metadata",
    ),
    "30 a further key": (meta("url", "http://x"), "metadata"),
    "31 metadata over 1 MiB": (meta("config", "x" * 2**21), "too_large"),
    "41 the digest of the arrays": (meta("sha256", "0" * 64), "checksum"),
    "42 the digest of the config": (meta("config_sha256", "0" * 64), "checksum"),
    "42 a digest of one letter": (meta("sha256", "x"), "checksum"),
    "43 a newer format": (meta("format", "latently/9"), "newer_format"),
    "44 another program's": (meta("format", "pt"), "not_a_model"),
    "45 pickle": (text_of(b"\x80\x04\x95"), "not_a_model"),
    "45 joblib": (text_of(b"\x80\x03c"), "not_a_model"),
    "45 ZIP, .pt, .npz, .keras": (zipped, "not_a_model"),
    "45 gzip": (lambda raw: gzip.compress(raw), "not_a_model"),
    "45 HDF5": (text_of(b"\x89HDF\r\n\x1a\n"), "not_a_model"),
    "45 ONNX": (text_of(b"\x08\x07\x12\x07pytorch"), "not_a_model"),
    "45 HTML": (text_of(b"<!doctype html><title>404</title>"), "not_a_model"),
    "52 a pointer of Git LFS": (
        text_of(b"version https://git-lfs.github.com/spec/v1"),
        "not_a_model",
    ),
    "54 nothing but 0xFF": (lambda raw: b"\xff" * 10_000, "not_a_model"),
    "56 two models": (lambda raw: raw * 2, "trailing_bytes"),
    "57 line ends of DOS": (lambda raw: raw.replace(b"\n", b"\r\n") + b"\r\n", None),
}


@pytest.mark.parametrize("case", BYTES)
def test_bytes(case, folder, tmp_path, outcome):
    change, reason = BYTES[case]
    (tmp_path / "m").write_bytes(change((folder / "table").read_bytes()))
    assert refused(tmp_path / "m") == (reason or refused(tmp_path / "m"))
    outcome("refused")


def test_15_arrays_that_overlap(folder, tmp_path, outcome):
    header, body = header_of((folder / "table").read_bytes())
    first, second = sorted(
        (name for name in header if name != "__metadata__"),
        key=lambda name: -np.diff(header[name]["data_offsets"])[0],
    )[:2]
    length = np.diff(header[second]["data_offsets"])[0]
    start = header[first]["data_offsets"][0]
    header[second]["data_offsets"] = [start, start + int(length)]
    (tmp_path / "m").write_bytes(packed(header, body))
    assert refused(tmp_path / "m") == "layout"
    outcome("refused")


def test_18_every_truncation(folder, tmp_path, outcome):
    raw = (folder / "table").read_bytes()
    for cut in np.linspace(0, len(raw) - 1, 64).astype(int):
        (tmp_path / "m").write_bytes(raw[:cut])
        refused(tmp_path / "m")
        outcome("refused")


def flips(raw, n):
    bits = np.random.default_rng(0).choice(8 * len(raw), n, replace=False)
    for bit in bits.tolist():
        flipped = bytearray(raw)
        flipped[bit // 8] ^= 1 << bit % 8
        yield flipped


def test_41_every_single_bit(tmp_path, outcome):
    Autoencoder(1, network=SMALL, **QUICK).fit(matrix()).save(tmp_path / "sound")
    for flipped in flips((tmp_path / "sound").read_bytes(), 5_000):
        (tmp_path / "m").write_bytes(flipped)
        with pytest.raises(ModelFileError):
            load(tmp_path / "m")
        outcome("refused")


# ---------------------------------------------------------------- the place
def test_46_to_50_places_that_are_no_files(folder, tmp_path, outcome):
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    (tmp_path / "dangling").symlink_to(tmp_path / "nothing")
    for place in ("fifo", "loop", "dangling", "absent", ".", "nul\0", "n" * 10_000):
        refused(f"{tmp_path}/{place}")
        outcome("refused")
    refused("/dev/zero")
    outcome("refused")


@pytest.mark.skipif(os.geteuid() == 0, reason="needs a user whom permissions bind")
def test_49_no_permission(folder, tmp_path, outcome):
    (tmp_path / "m").write_bytes((folder / "table").read_bytes())
    (tmp_path / "m").chmod(0)
    assert refused(tmp_path / "m") == "unreadable"
    outcome("refused")


def test_51_a_file_that_changes_while_it_is_read(folder, tmp_path, monkeypatch, outcome):
    raw = (folder / "table").read_bytes()
    for change in (raw[:-1000], raw + b"more"):
        (tmp_path / "m").write_bytes(raw)
        size = os.fstat

        def fstat(handle, change=change, size=size):
            found = size(handle)
            (tmp_path / "m").write_bytes(change)
            return found

        with monkeypatch.context() as patched:
            patched.setattr("latently.io._model_file.os.fstat", fstat)
            assert refused(tmp_path / "m") in ("truncated", "trailing_bytes", "too_large")
        outcome("refused")


def test_55_a_file_of_1_tib_without_content(tmp_path, outcome):
    with (tmp_path / "m").open("wb") as file:
        file.truncate(2**40)
    assert refused(tmp_path / "m") == "too_large"
    outcome("refused")


# ---------------------------------------------------------------- what it says, soundly signed
def at(*keys, to):
    def change(config, arrays):
        for key in keys[:-1]:
            config = config[key]
        config[keys[-1]] = to

    return change


def array(name, to):
    def change(config, arrays):
        found = next(key for key in sorted(arrays) if key.endswith(name))
        arrays[found] = to(arrays[found])

    return change


def cell(value):
    def act(values):
        changed = values.copy()
        changed.reshape(-1)[0] = value
        return changed

    return act


def dense(*sizes):
    return at("params", "network", to=record("DenseNetwork", hidden_sizes={"~tuple": [*sizes]}))


def record(name, **params):
    return {"~class": name, "params": params}


TABLE = ("fitted", "preprocessor_", "params")
SPEC = (*TABLE, "spec", "params")
CODEC = (*TABLE, "codecs", "~tuple")


def codec_of(kind):
    """Return a change of the first codec of some kind."""

    def change_with(field, to):
        def change(config, arrays):
            codecs = config
            for key in CODEC:
                codecs = codecs[key]
            next(c for c in codecs if c["~class"] == kind)["params"][field] = to

        return change

    return change_with


category, moment = codec_of("CategoryCodec"), codec_of("TimeCodec")

SAID = {
    "22 weights of another type": (array("0.weight", lambda w: w.astype(np.float64)), "dtype"),
    "22 whole weights": (array("0.weight", lambda w: w.astype(np.int32)), "dtype"),
    "26 a weight is missing": (lambda c, a: a.pop("weights.encoder.1.weight"), "tensor_missing"),
    "27 an array too many": (lambda c, a: a.update(more=np.zeros(3)), "tensor_extra"),
    "28 another shape": (array("encoder.1.weight", lambda w: w.T.copy()), "shape"),
    "32 an unknown key": (at("secret", to=1), "config"),
    "32 an unknown parameter": (at("params", "secret", to=1), "config"),
    "32 no object": (at("params", to=[]), "config"),
    "33 an unknown class": (at("~class", to="Trojan"), "class"),
    "33 the path of a module": (at("~class", to="os.system"), "class"),
    "33 a name of Python's own": (at("~class", to="__reduce__"), "class"),
    "34 a layer of 10^9": (dense(10**9), "shape"),
    "34 two layers of 10^9": (dense(10**9, 10**9), "shape"),
    "34 100,000 layers": (dense(*[1] * 100_000), "config"),
    "34 a layer of none": (dense(0), "config"),
    "34 a code of none": (at("fitted", "n_components_", to=0), "config"),
    "34 a code of -1": (at("fitted", "n_components_", to=-1), "config"),
    "34 a code of 10^9": (at("fitted", "n_components_", to=10**9), "shape"),
    "35 words for a number": (at("params", "n_components", to="2"), "config"),
    "35 a truth for a number": (at("params", "max_epochs", to=True), "config"),
    "35 a list for a number": (at("params", "learning_rate", to=[0.1]), "config"),
    "35 infinity": (at("params", "learning_rate", to={"~float": "inf"}), "config"),
    "35 NaN": (at("params", "weight_decay", to={"~float": "nan"}), "config"),
    "36 an unknown activation": (
        at("params", "network", to=record("DenseNetwork", activation="evil")),
        "config",
    ),
    "36 an unknown likelihood": (at("params", "likelihood", to="evil"), "config"),
    "37 a weight that is NaN": (array("encoder.1.weight", cell(np.nan)), "not_finite"),
    "37 a weight that is infinite": (array("encoder.1.bias", cell(np.inf)), "not_finite"),
    "38 a scale of NaN": (array("scale", cell(np.nan)), "config"),
    "38 a scale of zero": (array("scale", cell(0.0)), "config"),
    "38 a scale below zero": (array("scale", cell(-1.0)), "config"),
    "38 an infinite center": (array("center", cell(np.inf)), "config"),
    "38 a category twice": (category("categories", {"~tuple": ["a", "a"]}), "config"),
    "38 categories of two types": (category("categories", {"~tuple": ["a", 1]}), "config"),
    "38 moments without a scale": (moment("scale", 0.0), "config"),
    "38 cycles of no length": (moment("periods", {"~tuple": [0.0]}), "config"),
    "39 a name too few": (
        lambda c, a: c["fitted"]["preprocessor_"]["params"]["spec"]["params"]["names"][
            "~tuple"
        ].pop(),
        "config",
    ),
    "39 a name twice": (
        lambda c, a: c["fitted"]["preprocessor_"]["params"]["spec"]["params"]["names"][
            "~tuple"
        ].__setitem__(0, "amount"),
        "config",
    ),
    "39 another number of features": (at("fitted", "n_features_in_", to=1), "config"),
    "40 a type that does not exist": (
        lambda c, a: c["fitted"]["preprocessor_"]["params"]["spec"]["params"]["types"]["~tuple"][0][
            "params"
        ].update(name="evil"),
        "config",
    ),
    "40 a codec of another column": (category("position", 0), "config"),
    "40 positions that repeat": (array("positions", lambda p: p * 0), "config"),
    "40 a scale too many": (array("scale", lambda s: np.append(s, 1.0)), "config"),
    "58 a path": (at("params", "checkpoint", to="/tmp"), "config"),
    "58 an address": (at("url", to="http://x"), "config"),
}
IMAGES = {
    "34 a kernel larger than the image": (
        at("params", "network", to=record("ConvNetwork", channels={"~tuple": [4] * 30})),
        None,
    ),
    "34 channels of 10^7": (
        at("params", "network", to=record("ConvNetwork", channels={"~tuple": [10**7]})),
        "shape",
    ),
    "34 an image of 10^6 x 10^6": (at(*SPEC, "shape", to={"~tuple": [1, 10**6, 10**6]}), "shape"),
    "34 an image of no side": (at(*SPEC, "shape", to={"~tuple": [1, 0, 6]}), "config"),
    "34 an image of negative sides": (at(*SPEC, "shape", to={"~tuple": [1, -6, -6]}), "config"),
    "38 no range": (at(*SPEC, "low", to=255.0), "config"),
    "38 an infinite range": (at(*SPEC, "high", to={"~float": "inf"}), "config"),
    "40 axes that do not exist": (at(*SPEC, "axes", to="xyz"), "config"),
    "40 pixels of text": (at(*SPEC, "dtype", to="U3"), "config"),
}


def forged(path, target, change):
    """Change what a file says and sign it soundly."""
    config, arrays = read_model(path)
    config = copy.deepcopy(config)
    change(config, arrays)
    write_model(target, config, arrays)
    return target


@pytest.mark.parametrize("case", SAID)
def test_said(case, folder, tmp_path, outcome):
    change, reason = SAID[case]
    assert refused(forged(folder / "table", tmp_path / "m", change)) == reason
    outcome("refused")


@pytest.mark.parametrize("case", IMAGES)
def test_said_of_images(case, folder, tmp_path, outcome):
    change, reason = IMAGES[case]
    found = refused(forged(folder / "images", tmp_path / "m", change))
    assert reason is None or found == reason
    outcome("refused")


def test_38_a_threshold_that_is_nan(tmp_path, outcome):
    AnomalyDetector(autoencoder=Autoencoder(2, **QUICK), random_state=0).fit(matrix()).save(
        tmp_path / "sound"
    )
    change = at("fitted", "offset_", to={"~float": "nan"})
    assert refused(forged(tmp_path / "sound", tmp_path / "m", change)) == "config"
    outcome("refused")


# ---------------------------------------------------------------- mutants
KINDS = {
    "plain": (Autoencoder(2, network=SMALL, **QUICK), transactions("pyarrow")),
    "convolutional": (ConvolutionalAutoencoder(2, **QUICK), stack(20, 6, 6)),
    "variational": (VariationalAutoencoder(2, network=SMALL, **QUICK), matrix()),
    "sparse": (SparseAutoencoder(**QUICK), matrix()),
    "detector": (AnomalyDetector(random_state=0), transactions("pyarrow", 40)),
    "imputer": (
        AutoencoderImputer(autoencoder=ImputationAutoencoder(8, n_networks=1, n_trees=4, **QUICK)),
        transactions("pyarrow", 40),
    ),
    "sampler": (LatentSampler(autoencoder=VariationalAutoencoder(2, **QUICK)), matrix()),
}
WORDS = [
    None, True, False, 0, -1, 1, 3, 10**9, 2**63, 1e308, -0.5, "", "x", "../../etc", "os.system",
    [], {}, [1, 2], [[[]]], {"a": 1}, {"~array": "none"}, {"~names": ["a", "a"]},
    {"~float": "nan"}, {"~float": "inf"}, {"~tuple": [10**9] * 3}, {"~class": "Layout"},
    record("DenseNetwork", hidden_sizes={"~tuple": [10**9, 10**9]}),
    record("DenseNetwork", hidden_sizes={"~tuple": [1] * 100_000}),
    record("ConvNetwork", channels={"~tuple": [10**7]}),
    record("Layout", shape={"~tuple": [10**6, 10**6]}, blocks={"~tuple": []}),
]  # fmt: skip
TYPES = [np.float64, np.float32, np.int64, np.bool_]


def byte_mutant(raw, rng):
    """Return some bytes of a file replaced, left out, put in or moved."""
    raw = bytearray(raw)
    for _ in range(rng.integers(1, 4)):
        start, stop = sorted(rng.integers(0, len(raw) + 1, 2).tolist())
        stop = min(stop, start + int(rng.integers(1, 64)))
        put_in = rng.integers(0, 256, int(rng.integers(0, 32)), dtype=np.uint8).tobytes()
        raw[start:stop] = put_in if rng.random() < 0.8 else bytes(raw[start:stop]) * 2
    return bytes(raw)


def places(value, path=()):
    yield path
    if isinstance(value, dict | list):
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            yield from places(item, (*path, key))


def said_mutant(config, arrays, rng):
    """Return a change of what a file says, or of one of its arrays."""
    if rng.random() < 0.7:
        config = copy.deepcopy(config)
        every = [path for path in places(config) if path]
        path = every[rng.integers(len(every))]
        inner = config
        for key in path[:-1]:
            inner = inner[key]
        kind = rng.integers(4)
        if kind == 0:
            del inner[path[-1]]
        elif kind == 1 and isinstance(inner, list):
            inner.append(inner[path[-1]])
        else:
            inner[path[-1]] = WORDS[rng.integers(len(WORDS))]
        return config, arrays
    name = sorted(arrays)[rng.integers(len(arrays))]
    values, arrays = arrays[name], dict(arrays)
    kind = rng.integers(5)
    if kind == 0:
        del arrays[name]
    elif kind == 1:
        with np.errstate(invalid="ignore", over="ignore"):  # supports hold NaN and infinity
            arrays[name] = values.astype(TYPES[rng.integers(len(TYPES))])
    elif kind == 2:
        arrays[name] = values.reshape(-1)[:-1] if values.size else np.zeros(3)
    elif kind == 3:
        arrays["more"] = values
    elif values.size and values.dtype.kind == "f":
        arrays[name] = cell([np.nan, np.inf, 0.0, -1.0][rng.integers(4)])(values)
    return config, arrays


def hold_mutant(path):
    """A mutant is refused, or it is a model, which gives an account of itself."""
    try:
        model = load(path)
    except ModelFileError as error:
        assert len(str(error)) <= 300
        return "refused"
    assert repr(model)
    return "loaded"


def mutants(kind, n_bytes, n_said, seed, tmp_path, outcome):
    model, rows = KINDS[kind]
    fitted = clone(model).fit(rows)
    fitted.save(tmp_path / "sound")
    rng, raw = np.random.default_rng(seed), (tmp_path / "sound").read_bytes()
    config, arrays = read_model(tmp_path / "sound")
    for _ in range(n_bytes):
        mutant = byte_mutant(raw, rng)
        (tmp_path / "m").write_bytes(mutant)
        found = hold_mutant(tmp_path / "m")
        assert found == "refused" or mutant == raw
        outcome(found)
    for _ in range(n_said):
        try:
            write_model(tmp_path / "m", *said_mutant(config, arrays, rng))
        except ModelFileError:
            continue
        outcome(hold_mutant(tmp_path / "m"))


@pytest.mark.parametrize("kind", KINDS)
def test_mutants_are_refused_or_are_models(kind, tmp_path, outcome):
    mutants(kind, 1_300, 150, 0, tmp_path, outcome)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1, 11))
@pytest.mark.parametrize("kind", KINDS)
def test_more_mutants_are_refused_or_are_models(kind, seed, tmp_path, outcome):
    mutants(kind, 10_000, 3_000, seed, tmp_path, outcome)


def test_a_sound_file_gives_the_same_answers_again(folder, outcome):
    for name, (model, rows) in MODELS.items():
        loaded, fitted = load(folder / name), clone(model).fit(rows)
        given, wanted = answers(loaded, rows), answers(fitted, rows)
        assert all(same(given[key], wanted[key]) for key in wanted)
        outcome("worked")


def test_the_digest_is_that_of_sha256(folder):
    header, _ = header_of((folder / "table").read_bytes())
    said = header["__metadata__"]
    text = f"{said['config']}\n{said['created_with']}".encode()
    assert hashlib.sha256(text).hexdigest() == said["config_sha256"]
