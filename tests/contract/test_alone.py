"""A row's answer is the same, bit for bit, alone and in company of any size."""

import numpy as np
import pytest
from sklearn.base import clone

from tests.contract.estimators import AUTOENCODERS, ENSEMBLES, MASKED, MEMORIES

pytestmark = pytest.mark.trust("numbers")

SIZES = (1, 2, 15, 16, 17, 33, 100)


@pytest.mark.parametrize("model", [*AUTOENCODERS, *MEMORIES, *ENSEMBLES, *MASKED], ids=str)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_row_does_not_depend_on_its_company(model, dtype):
    rng = np.random.default_rng(0)
    rows = (rng.normal(size=(300, 3)) @ rng.normal(size=(3, 9))).astype(dtype)
    rows[rng.random(rows.shape) < 0.05] = np.nan
    fitted = clone(model).fit(rows)
    scores, codes = fitted.score_samples(rows), fitted.transform(rows)
    for size in SIZES:
        np.testing.assert_array_equal(fitted.score_samples(rows[:size]), scores[:size])
        np.testing.assert_array_equal(fitted.transform(rows[:size]), codes[:size])
