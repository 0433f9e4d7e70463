"""Randomised trees as tensors: which stored rows a row is like, for each column."""

from __future__ import annotations

import warnings
from typing import NamedTuple

import numpy as np
import torch
from sklearn.tree import ExtraTreeClassifier, ExtraTreeRegressor
from torch import Tensor, nn

#: A leaf holds minus one minus the place of its donor.
_LEAF = -1


class GrownTrees(NamedTuple):
    """The trees of one column: nodes of all of them after each other, and where each begins.

    Attributes
    ----------
    feature, threshold, right : ndarray of shape (n_nodes,)
        A row goes to the next node where its element is at most the threshold, else to the one
        on the right. Of a leaf, ``threshold`` holds its mean and ``right`` minus one minus the
        place of one of its rows.
    roots : ndarray of shape (n_trees,)
        First node of each tree.
    importance : ndarray of shape (n_features,)
        Share of the impurity that splits on each feature take away.
    """

    feature: np.ndarray
    threshold: np.ndarray
    right: np.ndarray
    roots: np.ndarray
    importance: np.ndarray


class Leaves(NamedTuple):
    """Leaves that trees lead rows to.

    Attributes
    ----------
    donors : Tensor of int64, shape (batch, n_trees)
        Place of a stored row of each leaf.
    means : Tensor of shape (batch, n_trees)
        Mean of what was to be told, of the rows of each leaf; of classes, without meaning.
    """

    donors: Tensor
    means: Tensor

    def take(self, trees: Tensor) -> Leaves:
        """Return some of the trees of each row, by a mask or places of shape (batch, n_kept)."""
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
        What rows are told apart by.
    target : ndarray of shape (n_trees, n_rows)
        What each tree is to tell: classes where they are whole numbers, else numbers.
    rows : list of ndarray
        Places of the rows that each tree grows on.
    max_features : list of float
        Share of the elements that each tree looks at before it splits.
    seeds : ndarray of int, shape (n_trees,)
        Seed of each tree.

    Returns
    -------
    GrownTrees
        Each leaf holds the last of its rows.

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
            # A column of few rows may have a category in nearly each of them.
            warnings.filterwarnings("ignore", "The number of unique classes is greater than 50%")
            tree = model.fit(own, goal[places], check_input=False).tree_
        importance += tree.compute_feature_importances() / len(rows)
        donors = np.zeros(tree.node_count, dtype=np.int64)
        donors[tree.apply(own)] = places
        leaf = tree.children_left == _LEAF
        # Depth first: the left child of a node comes next.
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
        Nodes of all trees.
    n_columns : int
        Columns.
    n_trees : int
        Trees of a column.
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
        """Return the forest of these trees, one record a column."""
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
        """Raise ValueError unless every path bounds at one of the stored rows."""
        place = torch.arange(len(self.right))
        leads_on = self.right > place
        bounds = (self.right < 0) & (self.right >= -n_rows)
        known = (self.feature >= 0) & (self.feature < n_features)
        rooted = (self.roots >= 0) & (self.roots < len(self.right))
        within = (self.right < len(self.right)) & (bounds | (place + 1 < len(self.right)))
        if not bool(((leads_on | bounds) & known & within).all() & rooted.all()):
            raise ValueError("the trees lead nowhere")

    def leaves(self, column: int, features: Tensor) -> Leaves:
        """Return where each tree of a column leads rows to.

        Parameters
        ----------
        column : int
            Whose trees.
        features : Tensor of shape (batch, n_features)
            Rows.

        Returns
        -------
        Leaves
            Of each row and tree, (batch, n_trees).
        """
        node = self.roots[column].long().repeat(len(features), 1)
        right = self.right[node].long()
        while bool((right >= 0).any()):
            element = features.gather(1, self.feature[node].long())
            after = torch.where(element <= self.threshold[node], node + 1, right)
            node = torch.where(right >= 0, after, node)
            right = self.right[node].long()
        return Leaves(-1 - right, self.threshold[node])
