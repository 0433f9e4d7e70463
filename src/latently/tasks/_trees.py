"""Trees of scikit-learn as plain arrays, so that a model file needs no pickle."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from latently.exceptions import DataError

#: Mark of a leaf in scikit-learn.
_LEAF = -1
#: Rows whose leaves are searched at once.
_CHUNK_ROWS = 4_096
#: Largest depth that a file may hold.
_MOST_LEVELS = 512


@dataclass(frozen=True, eq=False)
class Trees:
    """Several binary trees. A row goes right at a node where its feature is above the threshold.

    Parameters
    ----------
    roots : ndarray of int32, shape (n_trees,)
        The first node of each tree.
    features : ndarray of int32, shape (n_nodes,)
        Feature of each node, 0 for a leaf.
    thresholds : ndarray of float64, shape (n_nodes,)
        Threshold of each node, 0 for a leaf.
    children : ndarray of int32, shape (n_nodes, 2)
        Left and right child, which come after their parent. Both children of a leaf are itself.
    n_levels : int
        Largest depth of a leaf.
    """

    roots: np.ndarray
    features: np.ndarray
    thresholds: np.ndarray
    children: np.ndarray
    n_levels: int

    @classmethod
    def of(cls, estimators: Sequence[Any]) -> Self:
        """Return the trees of fitted ``DecisionTreeClassifier`` or ``DecisionTreeRegressor``.

        Parameters
        ----------
        estimators : sequence of fitted trees
            Their nodes follow each other, so that values of the nodes can be concatenated.
        """
        trees = [estimator.tree_ for estimator in estimators]
        sizes = [tree.node_count for tree in trees]
        roots = np.cumsum([0, *sizes[:-1]])
        own = np.arange(sum(sizes))[:, None]
        offsets = np.repeat(roots, sizes)[:, None]
        pairs = np.concatenate(
            [np.stack([tree.children_left, tree.children_right], 1) for tree in trees]
        )
        is_leaf = pairs[:, :1] == _LEAF
        children = np.where(is_leaf, own, pairs + offsets)
        features, thresholds = (
            np.where(is_leaf[:, 0], 0, np.concatenate([getattr(tree, name) for tree in trees]))
            for name in ("feature", "threshold")
        )
        return cls(
            roots.astype(np.int32), features.astype(np.int32), thresholds.astype(np.float64),
            children.astype(np.int32), max(tree.max_depth for tree in trees),
        )  # fmt: skip

    def leaves(self, rows: np.ndarray) -> np.ndarray:
        """Return the leaf of each row in each tree.

        Parameters
        ----------
        rows : ndarray of shape (n_rows, n_features)
            Finite numbers, compared in single precision as scikit-learn does.

        Returns
        -------
        ndarray of int32, shape (n_rows, n_trees)
            Nodes.
        """
        found = np.empty((len(rows), len(self.roots)), dtype=np.int32)
        single = np.asarray(rows, dtype=np.float32)
        for start in range(0, len(rows), _CHUNK_ROWS):
            some = single[start : start + _CHUNK_ROWS]
            places = np.arange(len(some))[:, None]
            node = np.broadcast_to(self.roots, (len(some), len(self.roots)))
            for _ in range(self.n_levels):
                is_right = some[places, self.features[node]] > self.thresholds[node]
                node = self.children[node, is_right.view(np.int8)]
            found[start : start + _CHUNK_ROWS] = node
        return found

    def leaves_of(self, rows: np.ndarray, which: np.ndarray) -> np.ndarray:
        """Return the leaf of each row in one tree.

        Parameters
        ----------
        rows : ndarray of shape (n_rows, n_features)
            Finite numbers, compared in single precision as scikit-learn does.
        which : ndarray of int, shape (n_rows,)
            The tree of each row.

        Returns
        -------
        ndarray of int32, shape (n_rows,)
            Nodes.
        """
        single, places = np.asarray(rows, dtype=np.float32), np.arange(len(rows))
        node: np.ndarray = self.roots[which]
        for _ in range(self.n_levels):
            is_right = single[places, self.features[node]] > self.thresholds[node]
            node = self.children[node, is_right.view(np.int8)]
        return node

    def check_consistent(self) -> None:
        """Raise DataError if the arrays of a file are no trees."""
        n_nodes = len(self.features) if self.features.ndim == 1 else 0
        own = np.arange(n_nodes)[:, None]
        sound = (
            n_nodes > 0
            and all(part.dtype == np.int32 for part in (self.roots, self.features, self.children))
            and self.roots.ndim == 1
            and len(self.roots) > 0
            and self.thresholds.dtype == np.float64
            and self.thresholds.shape == (n_nodes,)
            and self.children.shape == (n_nodes, 2)
            and 0 <= self.n_levels <= _MOST_LEVELS
            and bool(np.isfinite(self.thresholds).all())
            and bool((self.features >= 0).all())
            and bool(((self.roots >= 0) & (self.roots < n_nodes)).all())
            and bool((self.children < n_nodes).all())
        )
        if not sound or not self._are_acyclic(own):
            raise DataError("The model's trees do not fit together.")

    def _are_acyclic(self, own: np.ndarray) -> bool:
        is_leaf = (self.children == own).all(1)
        return bool((is_leaf | (self.children > own).all(1)).all())
