"""What is shipped and what is run: licences, hashes, bans, no network, the same wheel twice."""

import ast
import hashlib
import re
import shutil
import subprocess
import sys
import tarfile
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement

pytestmark = pytest.mark.trust("supply chain")
ROOT = Path(__file__).parent.parent.parent
SOURCE = ROOT / "src" / "latently"

#: Words of licences that ask for no more than to be named.
ALLOWED = ("mit", "bsd", "apache", "isc", "python software foundation", "psf", "zlib", "unlicense",
           "historical permission", "hpnd", "mit-cmu", "0bsd", "public domain")  # fmt: skip
#: Weak copyleft that binds changes of the package itself only, or is one choice of two.
KNOWN = {"certifi": "mpl", "tqdm": "mpl", "pathspec": "mpl"}


def needed(name, extras=()):
    """Return the packages that one needs to run, itself included."""
    found, waiting = set(), [(name, tuple(extras))]
    while waiting:
        name, extras = waiting.pop()
        key = re.sub(r"[-_.]+", "-", name).lower()
        if key in found:
            continue
        found.add(key)
        for text in metadata.requires(name) or []:
            wanted = Requirement(text)
            marks = [{"extra": extra} for extra in ("", *extras)]
            if wanted.marker is None or any(wanted.marker.evaluate(mark) for mark in marks):
                waiting.append((wanted.name, tuple(wanted.extras)))
    return sorted(found)


def licence(name):
    said = metadata.metadata(name)
    classifiers = [c for c in said.get_all("Classifier") or [] if c.startswith("License")]
    text = said.get("License-Expression") or " ".join(classifiers) or said.get("License") or ""
    return text.lower()[:2000]


RUNTIME = needed("latently", ["pandas", "polars", "tune", "ray"])


@pytest.mark.parametrize("name", RUNTIME)
def test_every_package_that_is_needed_may_be_used(name):
    words = licence(name)
    assert any(word in words for word in ALLOWED) or KNOWN.get(name, "?") in words, words[:200]
    assert "gpl" not in words.replace("lgpl", "gpl") or name in KNOWN


def test_every_package_of_the_lock_has_a_hash_and_every_needed_one_is_there():
    lines = (ROOT / "requirements" / "ci.lock").read_text().splitlines()[1:]
    assert all(re.fullmatch(r"[\w.-]+==[\w.+]+ --hash=sha256:[0-9a-f]{64}", line) for line in lines)
    locked = {re.sub(r"[-_.]+", "-", line.split("==")[0]).lower() for line in lines}
    apart = {"latently", "torch", "setuptools"}
    # What only a build of torch for GPUs asks for comes with it.
    gpu = {name for name in RUNTIME if name.startswith(("nvidia", "triton", "cuda"))}
    assert set(RUNTIME) - apart - gpu <= locked


def test_the_lock_and_the_constraints_name_one_version():
    constraints = dict(
        line.split("==")
        for line in (ROOT / "constraints.txt").read_text().lower().splitlines()
        if "==" in line and not line.startswith("#")
    )
    for line in (ROOT / "requirements" / "ci.lock").read_text().lower().splitlines()[1:]:
        name, version = line.split(" ")[0].split("==")
        assert constraints.get(name, version) == version


BANNED_MODULES = {
    "pickle",
    "cPickle",
    "dill",
    "cloudpickle",
    "shelve",
    "marshal",
    "yaml",
    "jsonpickle",
}
BANNED_CALLS = {"eval", "exec", "compile", "__import__"}
BANNED_NAMES = {
    "torch.load", "torch.save", "torch.hub", "np.load", "numpy.load", "joblib.load",
    "pd.read_pickle", "yaml.load", "os.system", "os.popen", "subprocess",
}  # fmt: skip


@pytest.mark.parametrize("path", sorted(SOURCE.rglob("*.py")), ids=lambda path: path.stem)
def test_nothing_that_runs_what_it_reads_is_used(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names = {alias.name.split(".")[0] for alias in node.names}
            assert not names & BANNED_MODULES
        if isinstance(node, ast.ImportFrom):
            assert (node.module or "").split(".")[0] not in BANNED_MODULES
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            assert node.func.id not in BANNED_CALLS
        if isinstance(node, ast.Attribute):
            assert ast.unparse(node) not in BANNED_NAMES
        if isinstance(node, ast.keyword) and node.arg == "allow_pickle":
            assert isinstance(node.value, ast.Constant) and node.value.value is False


_OFFLINE = """
import sys

def refuse(event, arguments):
    if event in ("socket.connect", "socket.bind", "socket.getaddrinfo", "socket.sendto",
                 "urllib.Request", "ftplib.connect", "http.client.connect"):
        raise RuntimeError(f"{event} {arguments}")

sys.addaudithook(refuse)
import numpy as np
import latently
from latently import *
X = np.random.default_rng(0).normal(size=(60, 4))
for model in (Autoencoder(max_epochs=2), AnomalyDetector(), AutoencoderImputer(),
              LatentSampler(autoencoder=VariationalAutoencoder(max_epochs=2))):
    model.fit(X).save(sys.argv[1])
    latently.load(sys.argv[1])
"""


def test_import_fit_save_and_load_open_no_socket(tmp_path):
    command = [sys.executable, "-W", "ignore", "-c", _OFFLINE, str(tmp_path / "m")]
    subprocess.run(command, check=True)


def built(folder, source):
    """Build a wheel in a folder of its own, from a copy of the source."""
    tree = folder / "tree"
    shutil.copytree(
        source / "src", tree / "src", ignore=shutil.ignore_patterns("*.egg-info", "__pycache__")
    )
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(source / name, tree)
    code = "import sys, setuptools.build_meta as b; b.build_wheel(sys.argv[1])"
    subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code, str(folder)],
        cwd=tree, check=True, capture_output=True,
        env={"SOURCE_DATE_EPOCH": "1700000000", "PATH": "/usr/bin:/bin"},
    )  # fmt: skip
    return next(folder.glob("*.whl"))


def test_a_wheel_built_twice_is_the_same_to_the_byte(tmp_path):
    pytest.importorskip("setuptools", reason="needs setuptools to build with")
    wheels = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        wheels.append(built(tmp_path / name, ROOT).read_bytes())
    assert hashlib.sha256(wheels[0]).digest() == hashlib.sha256(wheels[1]).digest()


SHIPPED = ("src", "tests", "docs", "examples", "benchmarks", "tools", "requirements")
#: Made by tools, and no part of a source distribution.
MADE = ("*.egg-info", "__pycache__", ".*_cache", "generated", "gallery")


def test_the_source_distribution_holds_what_its_tests_need(tmp_path):
    pytest.importorskip("setuptools", reason="needs setuptools to build with")
    # Given: a copy of the project without anything that tools made.
    tree = tmp_path / "tree"
    for folder in SHIPPED:
        shutil.copytree(ROOT / folder, tree / folder, ignore=shutil.ignore_patterns(*MADE))
    for name in ("pyproject.toml", "MANIFEST.in", "README.md", "LICENSE", "Makefile",
                 "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md", "constraints.txt"):  # fmt: skip
        shutil.copy(ROOT / name, tree)
    wanted = {path.relative_to(tree).as_posix() for path in tree.rglob("*") if path.is_file()}
    # When
    code = "import sys, setuptools.build_meta as b; b.build_sdist(sys.argv[1])"
    command = [sys.executable, "-W", "ignore", "-c", code, str(tmp_path)]
    subprocess.run(command, cwd=tree, check=True, capture_output=True)
    # Then
    with tarfile.open(next(tmp_path.glob("*.tar.gz"))) as archive:
        shipped = {name.partition("/")[2] for name in archive.getnames()}
    assert wanted - shipped == set()
    assert any(name.startswith("tests/golden/") for name in wanted)
