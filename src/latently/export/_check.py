"""Comparison of an exported graph with the results of its model on rows in the file."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

class OnnxCheck(NamedTuple):
    n_rows: int
    largest_difference: float
    n_flags_differ: int

def self_test_of(model, parts): return {}
def check_model(data, name): return OnnxCheck(0,0.,0)
