"""Robust statistics are what their formulas say, and the module adds them up."""

import numpy as np
import pytest
import torch
from sklearn.ensemble import IsolationForest
from sklearn.linear_model import LinearRegression
from sklearn.metrics import roc_auc_score
from sklearn.neighbors import NearestNeighbors

from latently._layout import Block, Layout
from latently.nn import Cells
from latently.nn._module import Rows
from latently.nn.memory.robust import (
    Encoder,
    Histograms,
    IsolationTrees,
    LinearResiduals,
    NeighborDistance,
    RobustMemoryModule,
    SmallMemories,
)

NUMBERS = Layout((3,), (Block("gaussian", 1, 3),))
MIXED = Layout((6,), (Block("gaussian", 1, 3), Block("categorical", 3, 1)))


def generator():
    return torch.Generator().manual_seed(0)


def rows(n=60, width=3, seed=0):
    return torch.from_numpy(np.random.default_rng(seed).normal(size=(n, width)))


def mixed_rows(n=60, seed=0):
    # The last element is for unknown categories.
    kinds = np.eye(3)[np.random.default_rng(seed).integers(0, 2, n)]
    return torch.from_numpy(np.hstack([rows(n, seed=seed).numpy(), kinds]))


def stored(layout, values, observed=None):
    module = RobustMemoryModule(layout, len(values), observed is not None)
    cells = Cells(values, observed)
    module.store(cells, cells, generator())
    return module


def none_left_out(n):
    return torch.full((n,), -1)


def test_a_histogram_returns_log_frequencies():
    codes = torch.tensor([[0.0, 1], [1, 1], [2, 1], [4, 0]], dtype=torch.float64)
    part = Histograms((0, 2), 4)
    part.fit(codes, None)
    expected = -np.log([1.5 / 4 * 3.5 / 4, 1.5 / 4 * 3.5 / 4, 1.5 / 4 * 3.5 / 4, 1.5 / 4 * 1.5 / 4])
    np.testing.assert_allclose(part(codes, None), expected)
    outside = part(torch.tensor([[9.0, 1]], dtype=torch.float64), None)
    np.testing.assert_allclose(outside, -np.log(0.5 / 4 * 3.5 / 4))


def test_the_cells_of_a_histogram_add_up_to_its_score_and_a_gap_adds_nothing():
    codes = rows(200)
    part = Histograms((0, 0, 0), 12)
    part.fit(codes, None)
    excess = part.cells(codes, None)
    np.testing.assert_allclose(excess.sum(1) + part.usual.sum(), part(codes, None))
    np.testing.assert_allclose(excess.mean(0), 0, atol=1e-9)
    gaps = torch.zeros(200, 3, dtype=torch.bool)
    np.testing.assert_allclose(part(codes, gaps), float(part.usual.sum()))


def test_linear_residuals_are_those_of_ridge_regressions():
    mixing = np.random.default_rng(1).normal(size=(2, 3))
    values = rows(400, 2).numpy() @ mixing + 0.3 * rows(400, 3, seed=2).numpy()
    values = torch.from_numpy((values - values.mean(0)) / values.std(0))
    part = LinearResiduals(3)
    part.fit(values)
    elements = part.elements(values, None).numpy()
    for j in range(3):
        # A ridge of 0.1 is the regression on these rows and rows of independent noise.
        others = np.delete(values.numpy(), j, 1)
        noise = np.sqrt(0.1 * len(values)) * np.eye(2)
        fitted = LinearRegression(fit_intercept=False).fit(
            np.vstack([others, noise]), np.r_[values[:, j].numpy(), 0, 0]
        )
        residual = values[:, j].numpy() - fitted.predict(others)
        expected = np.log1p(np.square(residual) / np.mean(np.square(residual)))
        np.testing.assert_allclose(elements[:, j] / float(part.weight[j]), expected, atol=1e-6)


def test_an_unrelated_column_has_no_weight():
    x = rows(2_000, 2)
    values = torch.cat([x[:, :1], x[:, :1] + 0.1 * rows(2_000, 1, seed=1), x[:, 1:]], 1)
    part = LinearResiduals(3)
    part.fit((values - values.mean(0)) / values.std(0))
    assert part.weight[0] > 0.8 and part.weight[1] > 0.8 and part.weight[2] < 0.02


def test_the_distance_is_that_to_the_tenth_neighbour():
    values, new = rows(200), rows(30, seed=1)
    part = NeighborDistance(200, 3)
    part.fit(values, torch.arange(200))
    expected = NearestNeighbors(n_neighbors=10).fit(values).kneighbors(new)[0][:, -1]
    np.testing.assert_allclose(part(new, none_left_out(30)).exp() - part.least, expected, rtol=1e-4)
    own = NearestNeighbors(n_neighbors=11).fit(values).kneighbors(values)[0][:, -1]
    np.testing.assert_allclose(part(values, torch.arange(200)).exp() - part.least, own, rtol=1e-4)
    np.testing.assert_allclose(part.shares(new, none_left_out(30)).sum(1), 1, rtol=1e-5)


def test_small_memories_leave_a_row_out():
    values = rows(40)
    part = SmallMemories(40)
    part.fit(values, torch.arange(40), generator())
    members = values[part.members.flatten()]
    found = part(values, members, torch.arange(40))
    groups = part.members.numpy()
    expected = [
        np.mean([
            np.log(
                min(np.linalg.norm(values[i] - values[j]) for j in group if j != i)
                + float(part.least)
            )
            for group in groups
        ])
        for i in range(40)
    ]  # fmt: skip
    np.testing.assert_allclose(found, expected, rtol=1e-6)


@pytest.mark.parametrize("n", [2, 3, 100, 400])
def test_isolation_trees_score_as_an_isolation_forest(n):
    values, new = rows(n), torch.cat([rows(200, seed=1), 4 * rows(50, seed=2)])
    part = IsolationTrees(n, 300)
    part.fit(values, generator())
    forest = IsolationForest(n_estimators=300, random_state=0).fit(values.float().numpy())
    expected = -forest.score_samples(new.float().numpy())
    # Two forests of other random states differ by the error of 300 trees.
    np.testing.assert_allclose(part(new), expected, atol=0.05)
    if n > 3:
        assert np.corrcoef(part(new), expected)[0, 1] > 0.98


@pytest.mark.parametrize("layout", [NUMBERS, MIXED], ids=["numbers", "mixed"])
def test_the_score_of_a_row_does_not_depend_on_the_batch(layout):
    values = rows(200) if layout is NUMBERS else mixed_rows(200)
    module = stored(layout, values)
    together = module.surprise(Cells(values))
    alone = torch.cat([module.surprise(Cells(values[i : i + 1])) for i in range(0, 200, 9)])
    torch.testing.assert_close(alone, together[::9], rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("n", [2, 3, 5, 30])
def test_few_rows_have_finite_scores(n):
    module = stored(MIXED, mixed_rows(n))
    scores = module.surprise(Cells(mixed_rows(50, seed=1)))
    assert bool(scores.isfinite().all())


def test_constant_columns_change_no_ranking_and_another_value_is_far():
    values = rows(300)
    values[:, 2] = 7.0
    module = stored(NUMBERS, values)
    new = rows(2, seed=1)
    new[:, 2] = torch.tensor([7.0, 8.0]).double()
    new[1, :2] = new[0, :2]
    usual, other = module.surprise(Cells(new)).tolist()
    assert other > usual + 3
    assert int(module.cell_surprise(Cells(new))[1].argmax()) == 2


def test_a_row_without_a_cell_is_as_usual_as_any():
    values, observed = rows(100), torch.ones(100, 3, dtype=torch.bool)
    observed[0] = False
    module = stored(NUMBERS, values, observed)
    assert float(module.surprise(Cells(values, observed))[0]) == 0.0
    assert module.cell_surprise(Cells(values, observed))[0].tolist() == [0.0] * 3


def test_a_missing_category_is_a_category_where_training_rows_have_gaps():
    values, observed = mixed_rows(300), torch.ones(300, 4, dtype=torch.bool)
    values[:3, 3:], observed[:3, 3] = 0.0, False
    module = stored(MIXED, values, observed)
    gap, filled = Cells(values[:1], observed[:1]), Cells(values[:1].clone(), observed[3:4])
    filled.values[0, 3] = 1.0
    assert float(module.surprise(gap)) > float(module.surprise(filled))
    without = stored(MIXED, mixed_rows(300))
    rows_with_gaps = Cells(values[:1], observed[:1])
    assert float(without.surprise(rows_with_gaps)) < float(module.surprise(rows_with_gaps))


@pytest.mark.parametrize("kind", ["cluster", "scattered", "dependency"])
def test_anomalies_among_the_training_rows_are_found(kind):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(950, 1))
    normal = np.hstack([x, x + 0.3 * rng.normal(size=(950, 1)), rng.normal(size=(950, 1))])
    planted = {
        "cluster": rng.normal([3, -3, 4], 0.1, size=(50, 3)),
        "scattered": rng.uniform(-8, 8, size=(50, 3)),
        "dependency": np.hstack([normal[:50, :1], -2 * np.sign(normal[:50, :1]), normal[:50, 2:]]),
    }[kind]
    values = torch.from_numpy(np.vstack([normal, planted]))
    scores = stored(NUMBERS, values).surprise(Cells(values))
    assert roc_auc_score(np.arange(1_000) >= 950, scores) > 0.9


def test_the_cells_to_blame_are_those_that_were_changed():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(600, 1))
    values = torch.from_numpy(np.hstack([x, x, -x]) + 0.2 * rng.normal(size=(600, 3)))
    module = stored(NUMBERS, values)
    changed = values[:60].clone()
    places = torch.arange(60) % 3
    changed[torch.arange(60), places] += 6.0
    blamed = module.cell_surprise(Cells(changed)).argmax(1)
    assert float((blamed == places).double().mean()) > 0.95


def test_standardised_rows_have_the_median_where_a_cell_is_missing():
    values = rows(101)
    seen = torch.ones(101, 3, dtype=torch.bool)
    seen[0] = False
    part = Encoder(NUMBERS)
    part.fit(Rows(values, seen))
    filled = part(Rows(values, seen)).plain
    torch.testing.assert_close(filled[0], filled[1:].median(0).values, atol=0.05, rtol=0)
