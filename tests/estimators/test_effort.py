"""The ``effort`` of every estimator and task, and the effect of each value."""

import numpy as np
import pytest

from latently import (
    AnomalyDetector,
    AutoencoderImputer,
    FeatureExtractor,
    ImputationAutoencoder,
    NeighborAutoencoder,
    UNetAutoencoder,
)
from latently.exceptions import ParameterError
from tests.contract.estimators import AUTOENCODERS, IMAGE_AUTOENCODERS, MASKED, MEMORIES, TASKS
from tests.contract.samples import matrix, stack

EVERY = [*AUTOENCODERS, *IMAGE_AUTOENCODERS, *MASKED, *MEMORIES, *TASKS]


@pytest.mark.parametrize("model", EVERY, ids=str)
def test_every_estimator_and_task_has_an_effort(model):
    assert "effort" in model.get_params(deep=False)


def test_a_memory_keeps_more_rows():
    rows = np.random.default_rng(0).normal(size=(2_500, 3))
    kept = [NeighborAutoencoder(effort=e).fit(rows).n_components_ for e in ("fast", "thorough")]
    assert kept == [500, 2_500]
    assert "effort: fast" in NeighborAutoencoder(effort="fast").fit(rows).summary()


def test_a_masked_autoencoder_takes_more_steps_and_trees():
    fitted = [ImputationAutoencoder(8, effort=e, random_state=0).fit(matrix(60)) for e in
              ("fast", "balanced")]  # fmt: skip
    steps = [model.history_.last_step for model in fitted]
    trees = [model.module_.forest.roots.shape[1] for model in fitted]
    assert steps == [150, 600]
    assert trees == [12, 60]


def test_a_u_net_takes_fewer_steps():
    images = (stack(20, 8, 8) > 0.5).astype(float)
    model = UNetAutoencoder(channels=(2, 4), effort="fast", random_state=0).fit(images)
    assert model.history_.last_step == 400


def test_a_task_hands_its_effort_on():
    rows = matrix(60)
    assert AnomalyDetector(effort="fast", random_state=0).fit(rows).autoencoder_.effort == "fast"
    imputer = AutoencoderImputer(autoencoder=MASKED[0], effort="thorough").fit(rows)
    assert imputer.autoencoder_.effort == "thorough"
    features = FeatureExtractor(effort="fast", random_state=0)
    assert (
        features._default_autoencoder().max_epochs
        < FeatureExtractor()._default_autoencoder().max_epochs
    )


def test_without_an_effort_a_task_leaves_that_of_its_autoencoder():
    inner = NeighborAutoencoder(effort="fast")
    assert AnomalyDetector(autoencoder=inner).fit(matrix(60)).autoencoder_.effort == "fast"


@pytest.mark.parametrize("model", [NeighborAutoencoder, ImputationAutoencoder, AnomalyDetector])
def test_an_effort_that_is_none_is_refused(model):
    with pytest.raises(ParameterError, match="effort"):
        model(effort="heroic").fit(matrix(60))
