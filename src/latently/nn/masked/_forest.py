"""Extremely randomised trees as tensors, whose leaves name stored rows as donors."""

from __future__ import annotations

import warnings
from typing import NamedTuple

import numpy as np
import torch
from sklearn.tree import ExtraTreeClassifier, ExtraTreeRegressor
from torch import Tensor, nn

#: scikit-learn's mark of a leaf. In ``Forest.right`` a leaf stores -1 minus the index of its donor.
_LEAF = -1


class GrownTrees(NamedTuple):
    """The trees of one column, with the nodes of all trees concatenated.

    Attributes
    ----------
    feature, threshold, right : ndarray of shape (n_nodes,)
        If ``feature`` of a row is at most ``threshold``, the row moves to the next node, otherwise
        to the node ``right``. For a leaf, ``threshold`` is the mean of its target, and ``right`` is
        -1 minus the index of its donor.
    roots : ndarray of shape (n_trees,)
        Index of the first node of each tree.
    importance : ndarray of shape (n_features,)
        Impurity-based importance of each feature, averaged over the trees.
    """

    feature: np.ndarray
    threshold: np.ndarray
    right: np.ndarray
    roots: np.ndarray
    importance: np.ndarray


class Leaves(NamedTuple):
    """The leaf of each row in each tree.

    Attributes
    ----------
    donors : Tensor of int64, shape (batch, n_trees)
        Index of the stored row that is the donor of the leaf.
    means : Tensor of shape (batch, n_trees)
        Mean target of the leaf, which has no meaning for classes.
    """

    donors: Tensor
    means: Tensor

    def take(self, trees: Tensor) -> Leaves:
        """Return some trees of each row, by indices of shape (batch, n_kept)."""
        return Leaves(self.donors.gather(1, trees), self.means.gather(1, trees))


def grow(
    features: np.ndarray,
    target: np.ndarray,
    rows: list[np.ndarray],
    max_features: list[float],
    seeds: np.ndarray,
) -> GrownTrees:
    """Grow extremely randomised trees until every leaf is pure [1]_.

    Parameters
    ----------
    features : ndarray of float32, shape (n_rows, n_features)
        Features of the rows.
    target : ndarray of shape (n_trees, n_rows)
        Target of each tree. Integers are classes, floats are numbers.
    rows : list of ndarray
        Indices of the rows that each tree grows on.
    max_features : list of float
        Fraction of the features that each tree considers for a split.
    seeds : ndarray of int, shape (n_trees,)
        Seed of each tree.

    Returns
    -------
    GrownTrees
        Trees in which the donor of a leaf is the last of its rows.

    References
    ----------
    .. [1] Geurts, Ernst and Wehenkel (2006), Extremely Randomized Trees.
    """
    make = ExtraTreeClassifier if target.dtype.kind == "i" else ExtraTreeRegressor
    parts, start, importance = [], 0, np.zeros(features.shape[1])
    for goal, places, share, seed in zip(target, rows, max_features, seeds, strict=True):
        model = make(max_features=share, random_state=int(seed))
        own = features[places]
        with warnings.catch_warnings():
            # Expected for a column of few rows with nearly as many categories.
            warnings.filterwarnings("ignore", "The number of unique classes is greater than 50%")
            tree = model.fit(own, goal[places], check_input=False).tree_
        importance += tree.compute_feature_importances() / len(rows)
        donors = np.zeros(tree.node_count, dtype=np.int64)
        donors[tree.apply(own)] = places
        leaf = tree.children_left == _LEAF
        # Nodes are in depth-first order, so the left child is the next node.
        right = np.where(leaf, -1 - donors, start + tree.children_right)
        threshold = np.where(leaf, tree.value[:, 0, 0], tree.threshold)
        parts.append((np.where(leaf, 0, tree.feature), threshold, right, start))
        start += tree.node_count
    feature, threshold, right = (np.concatenate([part[i] for part in parts]) for i in range(3))
    roots = np.array([part[3] for part in parts])
    return GrownTrees(feature, threshold, right, roots, importance)


class Forest(nn.Module):
    """Trees for every column of a table.

    Parameters
    ----------
    n_nodes : int
        Number of nodes of all trees.
    n_columns : int
        Number of columns.
    n_trees : int
        Number of trees of each column.
    """

    feature: Tensor
    threshold: Tensor
    right: Tensor
    roots: Tensor

    def __init__(self, n_nodes: int, n_columns: int, n_trees: int) -> None:
        super().__init__()
        self.register_buffer("feature", torch.zeros(n_nodes, dtype=torch.int16))
        self.register_buffer("threshold", torch.zeros(n_nodes))
        self.register_buffer("right", torch.full((n_nodes,), _LEAF, dtype=torch.int32))
        self.register_buffer("roots", torch.zeros(n_columns, n_trees, dtype=torch.int32))

    @classmethod
    def of(cls, grown: list[GrownTrees]) -> Forest:
        """Return the forest of the trees of all columns."""
        starts = np.cumsum([0, *(len(trees.feature) for trees in grown)])
        forest = cls(int(starts[-1]), len(grown), len(grown[0].roots))
        right = [
            np.where(trees.right < 0, trees.right, trees.right + start)
            for trees, start in zip(grown, starts[:-1], strict=True)
        ]
        roots = [trees.roots + start for trees, start in zip(grown, starts[:-1], strict=True)]
        forest.feature.copy_(torch.from_numpy(np.concatenate([t.feature for t in grown])))
        forest.threshold.copy_(torch.from_numpy(np.concatenate([t.threshold for t in grown])))
        forest.right.copy_(torch.from_numpy(np.concatenate(right)))
        forest.roots.copy_(torch.from_numpy(np.stack(roots)))
        return forest

    def check(self, n_rows: int, n_features: int) -> None:
        """Raise ValueError unless every path ends in a leaf whose donor is a stored row."""
        place = torch.arange(len(self.right))
        has_children = self.right > place
        is_leaf = (self.right < 0) & (self.right >= -n_rows)
        known = (self.feature >= 0) & (self.feature < n_features)
        rooted = (self.roots >= 0) & (self.roots < len(self.right))
        within = (self.right < len(self.right)) & (is_leaf | (place + 1 < len(self.right)))
        if not bool(((has_children | is_leaf) & known & within).all() & rooted.all()):
            raise ValueError("a path of a tree does not end at a stored row")

    def leaves(self, column: int, features: Tensor) -> Leaves:
        """Return the leaf of each row in each tree of a column.

        Parameters
        ----------
        column : int
            Index of the column.
        features : Tensor of shape (batch, n_features)
            Features of the rows.

        Returns
        -------
        Leaves
            Leaves of shape (batch, n_trees).
        """
        node = self.roots[column].long().repeat(len(features), 1)
        right = self.right[node].long()
        while bool((right >= 0).any()):
            element = features.gather(1, self.feature[node].long())
            after = torch.where(element <= self.threshold[node], node + 1, right)
            node = torch.where(right >= 0, after, node)
            right = self.right[node].long()
        return Leaves(-1 - right, self.threshold[node])
