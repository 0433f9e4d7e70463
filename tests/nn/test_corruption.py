"""Corruptions change the fraction of cells that their rates state."""

import pytest
import torch

from latently import Blocks, Blur, Downsampling, GaussianNoise, Masking, SaltAndPepper
from latently.exceptions import ParameterError

VALUES = torch.rand(400, 50, generator=torch.Generator().manual_seed(0))
OBSERVED = torch.ones(400, 50, dtype=torch.bool)
IMAGES = torch.rand(50, 2, 9, 12, generator=torch.Generator().manual_seed(0))
ALL_SEEN = torch.ones(50, 2 * 9 * 12, dtype=torch.bool)


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


def test_noise_of_a_range_differs_from_row_to_row():
    torch.manual_seed(0)
    values, _ = GaussianNoise((0.0, 1.0))(torch.zeros(500, 400), OBSERVED)
    scales = values.std(1)
    assert scales.min() < 0.05 and scales.max() > 0.95
    assert scales.mean().item() == pytest.approx(0.5, abs=0.05)


def test_clipped_noise_stays_in_the_range_of_pixels():
    torch.manual_seed(0)
    clipped, _ = GaussianNoise(0.5, clip=True)(VALUES, OBSERVED)
    torch.manual_seed(0)
    free, _ = GaussianNoise(0.5)(VALUES, OBSERVED)
    assert torch.equal(clipped, free.clamp(0, 1))


def test_a_block_is_one_square_the_same_in_all_channels():
    torch.manual_seed(0)
    values, observed = Blocks(0.4)(IMAGES, ALL_SEEN)
    hidden = ~observed.view(IMAGES.shape)
    assert torch.equal(values, IMAGES)
    assert torch.equal(hidden[:, 0], hidden[:, 1])
    assert (hidden[:, 0].any(2).sum(1) == 4).all() and (hidden[:, 0].any(1).sum(1) == 4).all()
    assert (hidden[:, 0].sum((1, 2)) == 16).all()
    assert len({tuple(h.flatten().tolist()) for h in hidden[:, 0]}) > 10


def test_blur_keeps_the_mean_of_an_image_and_evens_it_out():
    wide = torch.nn.functional.pad(IMAGES, (12,) * 4)
    values, _ = Blur(1.0)(wide, ALL_SEEN)
    torch.testing.assert_close(values.sum((2, 3)), wide.sum((2, 3)))
    dot = torch.zeros(1, 1, 15, 15)
    dot[0, 0, 7, 7] = 1
    spread = Blur(1.5)(dot, ALL_SEEN)[0][0, 0]
    steps = (torch.arange(15) - 7.0).square()
    assert (spread.sum(0) * steps).sum().sqrt().item() == pytest.approx(1.5, abs=0.05)


@pytest.mark.parametrize("factor", [1, 2, 3, 5])
def test_a_flat_image_has_no_detail_to_lose(factor):
    flat = torch.ones(2, 1, 9, 12)
    torch.testing.assert_close(Downsampling(factor)(flat, ALL_SEEN)[0], flat)
    lost = Downsampling(factor)(IMAGES, ALL_SEEN)[0]
    assert lost.shape == IMAGES.shape
    assert torch.equal(lost, IMAGES) == (factor == 1)


@pytest.mark.parametrize(
    "corruption",
    [Masking(1.0), GaussianNoise(-1.0), GaussianNoise((0.5, 0.1)), SaltAndPepper(-0.1)],
)
def test_a_rate_out_of_range_is_refused(corruption):
    with pytest.raises(ParameterError, match="must be"):
        corruption(VALUES, OBSERVED)


@pytest.mark.parametrize("corruption", [Blocks(0.0), Blur(0.0), Downsampling(0)])
def test_a_size_out_of_range_is_refused(corruption):
    with pytest.raises(ParameterError, match="must be"):
        corruption(IMAGES, ALL_SEEN)


@pytest.mark.parametrize("corruption", [Blocks(), Blur(), Downsampling()])
def test_corruptions_of_images_refuse_tables(corruption):
    with pytest.raises(ParameterError, match="to images, got rows"):
        corruption(VALUES, OBSERVED)
