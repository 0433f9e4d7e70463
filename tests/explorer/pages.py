"""Models and pages that the tests of the explorer share."""

import numpy as np
import pyarrow as pa

from latently import Autoencoder, DenseNetwork

QUICK = {"random_state": 0, "effort": "fast"}
#: Names and values that would be markup, code or a path if they were not escaped.
EVIL = (
    "<img src=x onerror=alert(1)>",
    '"></script><script>alert(2)</script>',
    "__proto__",
    "{{7*7}} & 'quoted'",
)
N_CLUSTER = 40


def clusters(seed=0):
    """Return rows in three far clusters of 40, and the cluster of each."""
    rng = np.random.default_rng(seed)
    centers = np.array([[0, 0, 0, 0], [10, 0, 5, 0], [0, 10, 0, 5]])
    kinds = np.repeat(np.arange(3), N_CLUSTER)
    return centers[kinds] + rng.normal(scale=0.3, size=(3 * N_CLUSTER, 4)), kinds


def cluster_table(seed=0):
    """Return the clusters as a table with hostile names and values, and the cluster of each row."""
    rows, kinds = clusters(seed)
    columns = {name: rows[:, place] for place, name in enumerate(EVIL)}
    return pa.table({**columns, "kind": [EVIL[kind] for kind in kinds]}), kinds


def linear_model(rows):
    """Return a linear model of two components, which keeps clusters apart."""
    return Autoencoder(2, network=DenseNetwork(()), max_epochs=60, **QUICK).fit(rows)
