"""A row in single precision scores like its copy in double precision."""

import numpy as np
import pytest
import torch
from sklearn.base import clone

from tests.contract.estimators import AUTOENCODERS, ENSEMBLES, MASKED, MEMORIES


@pytest.mark.parametrize("model", [*AUTOENCODERS, *MEMORIES, *ENSEMBLES, *MASKED], ids=str)
def test_single_and_double_copies_of_a_row_score_alike(model):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(300, 3)) @ rng.normal(size=(3, 6))
    fitted, single = clone(model).fit(X), X.astype(np.float32)
    scores = fitted.score_samples(single.astype(np.float64))
    for copy in (single, torch.from_numpy(single)):
        found = fitted.score_samples(copy)
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, scores, rtol=1e-4, atol=1e-4)
    codes = fitted.transform(single.astype(np.float64))
    np.testing.assert_allclose(fitted.transform(single), codes, rtol=1e-4, atol=1e-4)
