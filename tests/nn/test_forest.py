"""Trees as tensors predict as scikit-learn's do. Trees with invalid paths are refused."""

import numpy as np
import pytest
import torch
from sklearn.tree import ExtraTreeClassifier, ExtraTreeRegressor

from latently.nn.masked._forest import Forest, grow


def grown(target, n_trees=3, n_rows=200):
    features = np.random.default_rng(0).normal(size=(n_rows, 4)).astype(np.float32)
    rows = [np.arange(n_rows)] * n_trees
    trees = grow(features, np.stack([target(features)] * n_trees), rows, [1.0] * n_trees,
                 np.arange(n_trees))  # fmt: skip
    return features, Forest.of([trees, trees])


def test_the_mean_of_a_leaf_equals_the_prediction_of_scikit_learn():
    features, forest = grown(lambda X: X.sum(1) + X[:, 0] ** 2)
    new = np.random.default_rng(1).normal(size=(50, 4)).astype(np.float32)
    found = forest.leaves(1, torch.from_numpy(new)).means
    for seed in range(3):
        model = ExtraTreeRegressor(max_features=1.0, random_state=seed)
        model.fit(features, features.sum(1) + features[:, 0] ** 2)
        np.testing.assert_allclose(found[:, seed], model.predict(new), rtol=1e-6)


def test_the_donor_of_a_leaf_has_the_class_that_scikit_learn_predicts():
    def classes(X):
        return (X[:, 0] > 0).astype(int) + (X[:, 1] > 0)

    features, forest = grown(classes)
    new = np.random.default_rng(1).normal(size=(50, 4)).astype(np.float32)
    found = forest.leaves(0, torch.from_numpy(new)).donors
    for seed in range(3):
        model = ExtraTreeClassifier(max_features=1.0, random_state=seed)
        model.fit(features, classes(features))
        np.testing.assert_array_equal(classes(features)[found[:, seed]], model.predict(new))


def test_a_row_that_a_tree_grew_on_is_its_own_donor():
    features, forest = grown(lambda X: np.arange(len(X)).astype(float))
    found = forest.leaves(0, torch.from_numpy(features)).donors
    np.testing.assert_array_equal(found, np.tile(np.arange(200)[:, None], 3))


def backwards(forest):
    forest.right[torch.nonzero(forest.right > 0)[3]] = 0


def no_such_row(forest):
    forest.right[torch.nonzero(forest.right < 0)[3]] = -1_000


def no_such_feature(forest):
    forest.feature[5] = 9


def no_such_root(forest):
    forest.roots[0, 0] = 1_000_000


@pytest.mark.parametrize("damage", [backwards, no_such_row, no_such_feature, no_such_root])
def test_trees_that_lead_nowhere_are_refused(damage):
    _, forest = grown(lambda X: X.sum(1))
    forest.check(200, 4)
    damage(forest)
    with pytest.raises(ValueError, match="does not end at a stored row"):
        forest.check(200, 4)
