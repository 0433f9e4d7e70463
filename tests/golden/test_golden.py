"""Files that an earlier version wrote are loaded for ever, and answer as they did then."""

import subprocess
import sys

import numpy as np
import pytest

from latently import load
from latently.io import read_arrow, read_npy
from tests.contract.samples import answers
from tests.golden.make import HERE, MODELS, numbers_of

pytestmark = pytest.mark.trust("model files")
VERSIONS = sorted(path.name for path in HERE.iterdir() if path.name[:1].isdigit())
#: Another processor or version of torch rounds otherwise.
TOLERANCE = 1e-6

_QUIET = """
import sys
import latently
for path in sys.argv[1:]:
    latently.load(path)
heavy = {"torch._dynamo", "optuna", "matplotlib"} & set(sys.modules)
assert not heavy, heavy
"""


def rows_of(version, source):
    path = HERE / version / source
    return read_npy(path) if path.suffix == ".npy" else read_arrow(path)


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.filterwarnings("ignore::latently.exceptions.DataWarning")
def test_a_golden_file_answers_as_it_did(version, name):
    model = load(HERE / version / f"{name}.safetensors")
    given = answers(model, rows_of(version, MODELS[name][1]))
    with np.load(HERE / version / f"{name}.npz") as kept:
        assert set(kept) == set(given)
        for key in kept:
            found = numbers_of(given[key])
            scale = max(float(np.nanmax(np.abs(kept[key]), initial=0)), 1e-9)
            # Torch draws by other approximations on other processors.
            tolerance = 1e-3 if key == "sample" else TOLERANCE
            np.testing.assert_allclose(found / scale, kept[key] / scale, rtol=0, atol=tolerance)


@pytest.mark.parametrize("version", VERSIONS)
def test_loading_brings_in_nothing_heavy(version):
    files = [str(HERE / version / f"{name}.safetensors") for name in MODELS]
    subprocess.run([sys.executable, "-c", _QUIET, *files], check=True)
