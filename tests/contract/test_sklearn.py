"""Every check of scikit-learn passes, and none is expected to fail."""

import pytest
from sklearn.utils import get_tags
from sklearn.utils.estimator_checks import (
    check_dataframe_column_names_consistency,
    check_get_feature_names_out_error,
    check_global_output_transform_pandas,
    check_global_set_output_transform_polars,
    check_set_output_transform,
    check_set_output_transform_pandas,
    check_set_output_transform_polars,
    check_transformer_get_feature_names_out,
    check_transformer_get_feature_names_out_pandas,
    parametrize_with_checks,
)

from tests.contract.estimators import AUTOENCODERS, ESTIMATORS, SEARCH
from tests.contract.samples import TWINS

pytestmark = pytest.mark.long


# One check doubles every row, on purpose; some pass classes where labels of anomalies belong.
@pytest.mark.filterwarnings(TWINS)
@pytest.mark.filterwarnings("ignore:y is ignored")
@parametrize_with_checks([*ESTIMATORS, SEARCH])
def test_sklearn_check_passes(estimator, check):
    # scikit-learn 1.6 asks for sparse rows of estimators whose tags refuse them.
    if "on_sparse_data" in str(check) and not get_tags(estimator).input_tags.sparse:
        return
    check(estimator)


EXTRA_CHECKS = [
    check_dataframe_column_names_consistency,
    check_get_feature_names_out_error,
    check_set_output_transform,
    check_set_output_transform_pandas,
    check_set_output_transform_polars,
    check_global_output_transform_pandas,
    check_global_set_output_transform_polars,
    check_transformer_get_feature_names_out,
    check_transformer_get_feature_names_out_pandas,
]


# These checks fit on a frame and ask with an array, and the other way round, on purpose.
@pytest.mark.filterwarnings("ignore:X does not have valid feature names")
@pytest.mark.filterwarnings("ignore:X has feature names, but")
# The labels of a check are random: half of the rows that a detector predicts are known anomalies.
@pytest.mark.filterwarnings("ignore:The anomaly scores of 150 rows lie higher")
@pytest.mark.parametrize("check", EXTRA_CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("estimator", ESTIMATORS, ids=str)
def test_output_check_of_sklearns_own_suite_passes(estimator, check):
    if (
        not hasattr(estimator, "transform")
        and check is not check_dataframe_column_names_consistency
    ):
        return
    check(type(estimator).__name__, estimator)


@pytest.mark.parametrize("estimator", AUTOENCODERS, ids=str)
def test_a_default_constructed_estimator_can_be_cloned_and_printed(estimator):
    assert type(estimator).__name__ in repr(estimator)
    assert "<div" in estimator._repr_html_()
