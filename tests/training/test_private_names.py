"""Private names of torch may go: a fit then takes its steps by autograd, and warns once."""

import os
import subprocess
import sys

import pytest

#: How to remove each name; modules before latently is imported, functions at any time.
REMOVALS = {
    "torch.jit._fuser": "sys.modules['torch.jit._fuser'] = None",
    "torch._C._create_function_from_graph": "del torch._C._create_function_from_graph",
    "torch._C.Graph": "del torch._C.Graph",
}
PROGRAM = """
import sys, warnings
import torch
{removal}
import numpy as np
from latently import Autoencoder, fit_seeds
X = np.random.default_rng(0).normal(size=(300, 5))
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    model = Autoencoder(2, max_epochs=20, random_state=0).fit(X)
    print([type(entry.message).__name__ for entry in caught])
print(model.history_.steps)
warnings.simplefilter("ignore")
print(len(fit_seeds(Autoencoder(2, max_epochs=20), X, 2)))
"""


def run(removal):
    program = [sys.executable, "-c", PROGRAM.format(removal=removal)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(program, capture_output=True, text=True, env=environment, timeout=240)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.mark.parametrize("name", REMOVALS)
def test_a_fit_without_a_private_name_is_eager_and_warns_once(name):
    warned, steps, n_models = run(REMOVALS[name])
    assert warned == "['TrainingWarning']"
    assert steps.startswith("eager: its step cannot be recorded (torch") and "has no torch" in steps
    assert n_models == "2"


def test_a_fit_needs_no_private_module_of_process_groups():
    warned, steps, _ = run("sys.modules['torch._C._distributed_c10d'] = None")
    assert warned == "[]"
    assert steps == "recorded"
