"""The masked module starts as the normal distribution and has a loss on hidden cells only."""

import pytest
import torch

from latently._layout import Block, Layout
from latently.nn import Cells, ForestSize, MaskedModule, Units
from latently.nn.masked._stacked import StackedLinear, StackedTrunk

LAYOUT = Layout((7,), (Block("gaussian", 1, 3), Block("bernoulli", 1, 1),
                       Block("categorical", 3, 1)))  # fmt: skip
UNITS = Units(torch.ones(5), torch.zeros(5), torch.tensor([0, 0, 0, -1, -1]))


def rows(n_rows=120, seed=0):
    generator = torch.Generator().manual_seed(seed)
    numbers = torch.randn(n_rows, 3, generator=generator)
    numbers[:, 2] = numbers[:, 0] - numbers[:, 1] + 0.1 * numbers[:, 2]
    truth = (numbers[:, :1] > 0).float()
    kinds = (numbers[:, 1] > 0).long() + (numbers[:, 2] > 1).long()
    values = torch.cat([numbers, truth, torch.nn.functional.one_hot(kinds, 3)], 1)
    observed = torch.rand(n_rows, 5, generator=generator) > 0.2
    return Cells(values, observed)


@pytest.fixture
def module():
    torch.manual_seed(0)
    cells = rows()
    made = MaskedModule(LAYOUT, cells.values.mean(0), 2, 8, ForestSize(1, 1, 1))
    made.fit_range(cells)
    made.fit_gaussian(cells)
    return made.eval()


@pytest.fixture
def settled(module):
    cells = rows()
    held = (torch.rand(120, 5, generator=torch.Generator().manual_seed(1)) < 0.2) & cells.observed
    module.fit_trees(cells, cells.values, held, UNITS, n_trees=8, n_drawn=100, seed=0)
    return module


def test_an_untrained_module_fills_as_the_normal_distribution_does(module):
    cells = rows(seed=2)
    filled = module._fills(cells)
    gaps = ~module._seen(cells)
    gaps[:, 3:] = False  # categories pass through the likelihood, which holds them off 0 and 1
    torch.testing.assert_close(filled.networks[gaps], filled.gaussian[gaps])


def test_the_loss_is_over_hidden_cells_only(module):
    target = rows(seed=3)
    inputs = target._replace(observed=target.observed & (torch.arange(5) != 1))
    shown = module._seen(inputs)
    changed = target._replace(values=torch.where(shown, target.values + 5, target.values))
    one = module(inputs, target).reconstruction
    other = module(inputs, changed).reconstruction
    torch.testing.assert_close(one, other)
    assert bool((one[target.observed[:, 1]] > 0).all())
    assert bool((one[~target.observed[:, 1]] == 0).all())


@pytest.mark.parametrize("n_rows", [1, 5, 6])
def test_in_training_each_network_sees_rows_of_its_own(module, n_rows):
    cells = rows(n_rows)
    torch.nn.init.normal_(module.decoder.weight)
    dealt = module._network_parameters(cells)
    features = module._features(module.gaussian(cells.values, module._seen(cells)), cells)
    half = (n_rows + 1) // 2
    for network, part in enumerate((slice(0, half), slice(half, n_rows))):
        alone = features[part].expand(2, -1, -1)
        learnt = module.decoder(module.encoder(alone))[network]
        base = module.decode(module.hidden(cells))[part] - (
            module.decoder(module.encoder(alone)).mean(0)
        )
        torch.testing.assert_close(dealt[part], base + learnt, rtol=1e-4, atol=1e-4)


def test_an_observed_cell_is_rebuilt_from_the_others_alone(settled):
    cells = Cells(rows(seed=4).values)
    changed = cells.values.clone()
    changed[:, 1] += 3
    one, other = settled.reconstruct(cells), settled.reconstruct(Cells(changed))
    torch.testing.assert_close(one[:, 1], other[:, 1])
    assert not torch.allclose(one[:, 2], other[:, 2])


def test_fills_keep_observed_cells_and_give_probabilities(settled):
    cells = rows(seed=5)
    filled, seen = settled.fill(cells), settled._seen(cells)
    assert torch.equal(filled[seen], cells.values[seen])
    torch.testing.assert_close(filled[:, 4:].sum(1), torch.ones(120))
    gaps = ~seen
    assert bool((filled >= settled.low)[gaps].all() and (filled <= settled.high)[gaps].all())


def test_quantiles_of_categories_are_single_categories(settled):
    cells = Cells(rows(seed=6).values, torch.zeros(120, 5, dtype=torch.bool))
    levels = torch.rand(4, 120, 5)
    found = settled.quantiles(cells, levels, levels)
    assert bool((found[:, :, 4:].sum(2) == 1).all())
    assert set(found[:, :, 3].unique().tolist()) <= {0.0, 1.0}


def test_a_stack_equals_its_networks_one_by_one():
    torch.manual_seed(0)
    stack, values = StackedTrunk(3, 5, 4), torch.randn(3, 10, 5)
    together = stack(values)
    for network in range(3):
        alone = StackedTrunk(1, 5, 4)
        for layer, other in zip(alone.children(), stack.children(), strict=True):
            layer.weight.data = other.weight.data[network : network + 1]
            layer.bias.data = other.bias.data.view(3, -1)[network]
        torch.testing.assert_close(alone(values[network : network + 1])[0], together[network])


def test_a_layer_that_starts_at_zero_returns_zero():
    assert not StackedLinear(2, 3, 4, zero=True)(torch.randn(2, 5, 3)).any()
