"""Corruptions do what their rates say."""

import pytest
import torch

from latently import GaussianNoise, Masking, SaltAndPepper
from latently.exceptions import ParameterError

VALUES = torch.rand(400, 50, generator=torch.Generator().manual_seed(0))
OBSERVED = torch.ones(400, 50, dtype=torch.bool)


def test_masking_hides_the_given_share_of_cells_and_no_value_changes():
    torch.manual_seed(0)
    values, observed = Masking(0.3)(VALUES, OBSERVED)
    assert observed.float().mean().item() == pytest.approx(0.7, abs=0.01)
    assert torch.equal(values, VALUES)


def test_masking_never_shows_a_cell_that_was_missing():
    missing = torch.zeros_like(OBSERVED)
    assert not Masking(0.3)(VALUES, missing)[1].any()


def test_normal_noise_has_the_given_scale():
    torch.manual_seed(0)
    values, observed = GaussianNoise(0.5)(VALUES, OBSERVED)
    assert (values - VALUES).std().item() == pytest.approx(0.5, abs=0.01)
    assert observed.all()


def test_salt_and_pepper_sets_the_given_share_to_the_ends():
    torch.manual_seed(0)
    values, _ = SaltAndPepper(0.2)(VALUES, OBSERVED)
    changed = values != VALUES
    assert changed.float().mean().item() == pytest.approx(0.2, abs=0.01)
    assert set(values[changed].tolist()) == {VALUES.min().item(), VALUES.max().item()}


@pytest.mark.parametrize("corruption", [Masking(1.0), GaussianNoise(-1.0), SaltAndPepper(-0.1)])
def test_a_rate_out_of_range_is_refused(corruption):
    with pytest.raises(ParameterError, match="must be"):
        corruption(VALUES, OBSERVED)
