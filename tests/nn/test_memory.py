"""A memory is the Nadaraya-Watson mean. Views and ensembles of memories score as stated."""

import numpy as np
import pytest
import torch
from scipy import stats

from latently._layout import Block, Layout
from latently.nn import Cells, Memory, MemoryEnsembleModule, MemoryModule, Rows
from latently.nn.memory._views import Arcsinh, Ranks, Smooth

NUMBERS = Layout((3,), (Block("gaussian", 1, 3),))
MIXED = Layout((6,), (Block("gaussian", 1, 3), Block("categorical", 3, 1)))


def rows(n=60, width=3, seed=0):
    return torch.from_numpy(np.random.default_rng(seed).normal(size=(n, width)))


def nadaraya_watson(stored, row, bandwidth, left_out=None, seen=None, stored_seen=None):
    """Rebuild one row in plain loops."""
    weights, total = np.zeros(stored.shape[1]), np.zeros(stored.shape[1])
    for place, other in enumerate(stored):
        common = np.ones(len(row), bool)
        if seen is not None:
            common = seen & stored_seen[place]
        if place == left_out or not common.any():
            continue
        distance = np.square(row - other)[common].sum() * len(row) / common.sum()
        weight = np.exp(-distance / (2 * bandwidth))
        mask = np.ones(len(row)) if seen is None else stored_seen[place]
        weights, total = weights + weight * mask, total + weight * mask * other
    return total / weights


@pytest.mark.parametrize("gaps", [False, True])
@pytest.mark.parametrize("left_out", [-1, 7])
def test_a_row_is_rebuilt_by_the_formula(gaps, left_out):
    stored, row = rows(), rows(1, seed=1)
    seen = torch.rand(60, 3, generator=torch.Generator().manual_seed(0)) < 0.7 if gaps else None
    own = torch.tensor([[True, False, True]]) if gaps else None
    memory = Memory(60, 3, gaps)
    memory.store(Rows(stored, seen))
    _, squares = memory.rarity_and_residuals(Rows(row, own), torch.tensor([left_out]))
    # Residuals are rebuilt with a quarter of the bandwidth.
    expected = nadaraya_watson(
        stored.numpy(), row[0].numpy(), float(memory.unit) ** 2 / 4, left_out,
        None if own is None else own[0].numpy(), None if seen is None else seen.numpy(),
    )  # fmt: skip
    residual = np.square(row[0].numpy() - expected)
    if own is not None:
        residual[~own[0].numpy()] = 0.0
    np.testing.assert_allclose(squares[0].numpy(), residual, rtol=2e-4, atol=1e-6)


def test_the_bandwidth_is_the_median_distance_to_the_nearest_other_row():
    stored = rows()
    memory = Memory(60, 3)
    memory.store(Rows(stored))
    distances = torch.cdist(stored, stored).square().fill_diagonal_(torch.inf)
    assert float(memory.unit) ** 2 == pytest.approx(float(distances.amin(1).median()), rel=1e-4)


def test_rarity_is_minus_the_log_of_the_kernel_density():
    stored, some = rows(), rows(5, seed=1)
    memory = Memory(60, 3)
    memory.store(Rows(stored))
    rarity, _ = memory.rarity_and_residuals(Rows(some), torch.full((5,), -1))
    distances = torch.cdist(some, stored).square() / (2 * memory.unit.double() ** 2)
    np.testing.assert_allclose(rarity, -torch.logsumexp(-distances, 1), rtol=1e-4, atol=1e-5)


def memory_ensemble(layout, n_rows, n_calibration=200):
    return MemoryEnsembleModule(layout, n_rows, n_calibration=n_calibration)


@pytest.mark.parametrize("make", [MemoryModule, memory_ensemble], ids=["memory", "ensemble"])
@pytest.mark.parametrize("layout", [NUMBERS, MIXED], ids=["numbers", "mixed"])
def test_the_score_of_a_row_does_not_depend_on_the_batch_to_the_bit(make, layout):
    values = rows(200, layout.width)
    module = make(layout, 64)
    module.store(Cells(values[:64]), Cells(values), torch.Generator().manual_seed(0))
    together = module.surprise(Cells(values))
    alone = torch.cat([module.surprise(Cells(values[i : i + 1])) for i in range(0, 200, 9)])
    torch.testing.assert_close(alone, together[::9], rtol=1e-6, atol=1e-6)


def test_a_stored_row_is_scored_without_itself():
    values = rows(100)
    module = MemoryModule(NUMBERS, 100)
    module.store(Cells(values), Cells(values), torch.Generator().manual_seed(0))
    assert module.left_out(Cells(values.float().double())).tolist() == list(range(100))
    assert module.left_out(Cells(values + 0.1)).unique().tolist() == [-1]
    code = module.encode(Cells(values[:5])).value
    assert code.diagonal().tolist() == [0.0] * 5
    torch.testing.assert_close(code.sum(1), torch.ones(5))


def test_a_row_without_a_cell_is_as_usual_as_any():
    values, observed = rows(100), torch.ones(100, 3, dtype=torch.bool)
    observed[0] = False
    module = MemoryModule(NUMBERS, 100, gaps=True)
    module.store(Cells(values, observed), Cells(values, observed), torch.Generator().manual_seed(0))
    assert float(module.surprise(Cells(values, observed))[0]) == 0.0
    assert module.cell_surprise(Cells(values, observed))[0].tolist() == [0.0] * 3


def test_bent_numbers_have_standard_deviation_one_and_nothing_else_is_bent():
    values = rows(500, 6) * 10
    view = Arcsinh(MIXED)
    view.fit(Rows(values))
    bent = view(values)
    torch.testing.assert_close(bent[:, :3].std(0, correction=0), torch.ones(3).double())
    torch.testing.assert_close(bent[:, 3:], values[:, 3:])
    expected = stats.zscore(np.arcsinh(values[:, :3].numpy()))
    np.testing.assert_allclose(bent[:, :3].numpy(), expected, atol=1e-9)


@pytest.mark.parametrize(
    "map_numbers", [torch.exp, torch.sinh, lambda x: 5 * x - 2], ids=["exp", "sinh", "affine"]
)
def test_ranks_do_not_see_a_monotone_change_of_the_columns(map_numbers):
    values, new = rows(80), rows(20, seed=1)
    first, second = Ranks(NUMBERS, 80), Ranks(NUMBERS, 80)
    first.fit(Rows(values))
    second.fit(Rows(map_numbers(values)))
    torch.testing.assert_close(first(new), second(map_numbers(new)))


def test_ranks_of_ties_are_their_middle():
    column = torch.tensor([1.0, 2.0, 2.0, 2.0, 5.0]).double()[:, None].repeat(1, 3)
    view = Ranks(NUMBERS, 5)
    view.fit(Rows(column))
    expected = stats.norm.ppf((stats.rankdata(column[:, 0]) - 0.5) / 5)
    np.testing.assert_allclose(view.map_numbers(column)[:, 0], expected)
    left, right = view.tails(column)
    np.testing.assert_allclose(left[:, 0], -np.log([0.2, 0.8, 0.8, 0.8, 1.0]), atol=1e-12)
    np.testing.assert_allclose(right[:, 0], -np.log([1.0, 0.8, 0.8, 0.8, 0.2]), atol=1e-12)


@pytest.mark.parametrize("channels", [1, 3])
def test_an_image_twice_as_bright_is_the_same_image(channels):
    layout = Layout((channels, 20, 20), (Block("bernoulli", 1, channels * 400),))
    images = torch.rand(4, channels * 400, generator=torch.Generator().manual_seed(0)).double()
    view = Smooth(layout)
    torch.testing.assert_close(view(images), view(0.3 * images))
    torch.testing.assert_close(view(images).square().mean(1), torch.ones(4).double())
    assert view(torch.zeros(1, channels * 400).double()).abs().max() == 0


def test_the_weight_of_a_view_grows_with_its_detection_of_exchanged_columns():
    rng = np.random.default_rng(0)
    ranks = rng.normal(size=(400, 1)) + 0.05 * rng.normal(size=(400, 3))
    values = torch.from_numpy(np.exp(4 * ranks))  # related in their ranks, drowned in their tails
    values = (values - values.mean(0)) / values.std(0)
    module = MemoryModule(NUMBERS, 400)
    module.store(Cells(values), Cells(values), torch.Generator().manual_seed(0))
    worth = module.worth[:, 0].view(2, 3).amax(0)  # of linear, arcsinh, ranks
    assert worth[2] == 1.0 and worth[0] < 0.8


def test_an_ensemble_detects_a_cluster_of_anomalies_that_a_memory_rebuilds():
    rng = np.random.default_rng(0)
    normal, cluster = rng.normal(size=(480, 3)), rng.normal(6, 0.05, size=(20, 3))
    values = torch.from_numpy(np.vstack([normal, cluster]))
    values = (values - values.mean(0)) / values.std(0)

    def ranked_right(module):
        n_rows = len(module.rows)
        kept = torch.randperm(500, generator=torch.Generator().manual_seed(0))[:n_rows]
        module.store(Cells(values[kept]), Cells(values), torch.Generator().manual_seed(0))
        surprise = module.surprise(Cells(values))
        return float((surprise[480:, None] > surprise[:480]).double().mean())

    assert ranked_right(memory_ensemble(NUMBERS, 256, 500)) > 0.99
    assert ranked_right(MemoryModule(NUMBERS, 500)) < 0.5
