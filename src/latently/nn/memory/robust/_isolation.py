"""An isolation forest as tensors: complete binary trees that are read level by level."""

from __future__ import annotations

import math

import numpy as np
import torch
from sklearn.tree import ExtraTreeRegressor
from torch import Tensor, nn

#: Number of trees, and largest number of rows that each isolates.
_N_TREES, _MAX_SAMPLE = 50, 256
#: scikit-learn's mark of a leaf.
_LEAF = -1


class IsolationTrees(nn.Module):
    r"""Isolation forest: rows that random splits isolate early are anomalous [1]_.

    The statistic is :math:`2^{-h / c}`, where :math:`h` is the mean depth of the leaf of a row and
    :math:`c` the mean depth of a row in a tree of as many rows. It lies between zero and one.

    Parameters
    ----------
    n_rows : int
        Number of training rows.
    n_trees : int, default=50
        Number of trees.

    References
    ----------
    .. [1] Liu, Ting and Zhou (2008), Isolation Forest.
    """

    feature: Tensor
    threshold: Tensor
    depth: Tensor
    usual_depth: Tensor

    def __init__(self, n_rows: int, n_trees: int = _N_TREES) -> None:
        super().__init__()
        self.n_levels = max(1, math.ceil(math.log2(min(_MAX_SAMPLE, n_rows))))
        n_leaves = 1 << self.n_levels
        # A node has the children 2 i + 1 and 2 i + 2; below an early leaf, rows always go left.
        self.register_buffer("feature", torch.zeros(n_trees, n_leaves - 1, dtype=torch.int16))
        self.register_buffer("threshold", torch.zeros(n_trees, n_leaves - 1))
        self.register_buffer("depth", torch.zeros(n_trees, n_leaves))
        self.register_buffer("usual_depth", torch.ones((), dtype=torch.float64))

    def fit(self, codes: Tensor, generator: torch.Generator) -> None:
        """Grow the trees, each on rows drawn without replacement.

        Parameters
        ----------
        codes : Tensor of shape (n_rows, n_columns)
            Finite numbers.
        generator : torch.Generator
            Random generator.
        """
        rows, n_sampled = codes.float().numpy(), min(_MAX_SAMPLE, len(codes))
        self.usual_depth.fill_(float(_mean_depth(np.array(n_sampled))))
        for tree in range(len(self.feature)):
            places = torch.randperm(len(rows), generator=generator)[:n_sampled].numpy()
            seed = int(torch.randint(2**31 - 1, (1,), generator=generator))
            grown = _grow(rows[places], self.n_levels, seed)
            for stored, found in zip(
                (self.feature, self.threshold, self.depth), grown, strict=True
            ):
                stored[tree] = torch.from_numpy(found)

    def forward(self, codes: Tensor) -> Tensor:
        """Return the statistic of each row, shape (batch,)."""
        n_trees, n_nodes = self.feature.shape
        rows, features, thresholds = codes.float(), self.feature.long().flatten(), self.threshold
        first = torch.arange(n_trees, device=codes.device) * n_nodes
        node = torch.zeros(len(rows), n_trees, dtype=torch.int64, device=codes.device)
        for _ in range(self.n_levels):
            place = node + first
            right = rows.gather(1, features[place]) > thresholds.flatten()[place]
            node = 2 * node + 1 + right
        leaf = node - n_nodes + torch.arange(n_trees, device=codes.device) * (n_nodes + 1)
        mean = self.depth.double().flatten()[leaf].mean(1)
        return torch.exp2(-mean / self.usual_depth)

    def check(self, n_columns: int) -> None:
        """Raise ValueError if a split is on a column that does not exist."""
        if not bool(((self.feature >= 0) & (self.feature < n_columns)).all()):
            raise ValueError("a feature of a tree does not exist")


def _grow(rows: np.ndarray, n_levels: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Grow one tree and return features, thresholds and leaf depths of the complete tree."""
    target = np.random.default_rng(seed).uniform(size=len(rows))
    grower = ExtraTreeRegressor(max_features=1, max_depth=n_levels, random_state=seed)
    tree = grower.fit(rows, target, check_input=False).tree_
    # Rounded down, a threshold in single precision parts numbers in single precision as before.
    rounded = tree.threshold.astype(np.float32)
    rounded = np.where(
        rounded > tree.threshold, np.nextafter(rounded, np.float32(-np.inf)), rounded
    )
    features, thresholds = [], []
    node, depth = np.zeros(1, np.int64), np.zeros(1)
    for level in range(n_levels):
        is_leaf = tree.children_left[node] == _LEAF
        features.append(np.where(is_leaf, 0, tree.feature[node]))
        # Both children of an early leaf are this leaf itself.
        thresholds.append(np.where(is_leaf, np.float32(0), rounded[node]))
        children = np.stack([tree.children_left[node], tree.children_right[node]], 1)
        depth = np.repeat(np.where(is_leaf, depth, level + 1.0), 2)
        node = np.where(is_leaf[:, None], node[:, None], children).ravel()
    depth += _mean_depth(tree.n_node_samples[node])
    return (
        np.concatenate(features).astype(np.int16),
        np.concatenate(thresholds).astype(np.float32),
        depth.astype(np.float32),
    )


def _mean_depth(n_rows: np.ndarray) -> np.ndarray:
    """Return the mean depth of a row in an isolation tree of so many rows."""
    several = np.maximum(n_rows, 3).astype(np.float64)
    many = 2 * (np.log(several - 1) + np.euler_gamma) - 2 * (several - 1) / several
    return np.where(n_rows <= 2, np.maximum(n_rows - 1.0, 0.0), many)
