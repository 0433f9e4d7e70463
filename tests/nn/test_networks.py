"""Shapes of the networks, and their errors for invalid arguments."""

import pytest
import torch
from torch import nn

from latently import ConvNetwork, CustomNetwork, DenseNetwork
from latently.exceptions import ParameterError


@pytest.mark.parametrize("hidden_sizes", ["auto", (), (7,), (16, 8, 4)])
@pytest.mark.parametrize("normalization", [None, "batch", "layer"])
def test_a_dense_network_mirrors_its_encoder(hidden_sizes, normalization):
    network = DenseNetwork(hidden_sizes, normalization=normalization, dropout=0.1)

    encoder, decoder = network.build((10,), 6, 3, 10)

    widths = [layer.out_features for layer in encoder if isinstance(layer, nn.Linear)]
    mirrored = [layer.in_features for layer in decoder if isinstance(layer, nn.Linear)]
    assert widths[:-1] == mirrored[:0:-1]
    assert encoder(torch.randn(4, 10)).shape == (4, 6)
    assert decoder(torch.randn(4, 3)).shape == (4, 10)


@pytest.mark.parametrize("size", [(1, 1), (2, 3), (7, 5), (28, 28), (33, 64)])
@pytest.mark.parametrize("channels", ["auto", (4,), (4, 8, 16)])
@pytest.mark.parametrize("downsampling", ["stride", "pool"])
@pytest.mark.parametrize(("normalization", "n_blocks"), [("batch", 0), ("group", 2), (None, 1)])
def test_a_convolutional_network_comes_back_to_any_size(
    size, channels, downsampling, normalization, n_blocks
):
    network = ConvNetwork(
        channels, downsampling=downsampling, normalization=normalization, residual_blocks=n_blocks
    )
    encoder, decoder = network.build((3, *size), 5, 5, 3 * size[0] * size[1])
    assert decoder(encoder(torch.randn(4, 3, *size))).shape == (4, 3, *size)


def test_a_residual_block_whose_convolutions_return_zero_is_the_identity():
    torch.manual_seed(0)
    plain, _ = ConvNetwork((4,)).build((1, 8, 8), 3, 3, 64)
    torch.manual_seed(0)
    deep, _ = ConvNetwork((4,), residual_blocks=1).build((1, 8, 8), 3, 3, 64)
    block = deep[3]
    torch.nn.init.zeros_(block.paths[1][-1].weight)
    torch.nn.init.zeros_(block.paths[1][-1].bias)
    deep[-1].load_state_dict(plain[-1].state_dict())
    images = torch.randn(5, 1, 8, 8)
    torch.testing.assert_close(deep(images), plain(images))


def test_group_normalisation_of_an_image_does_not_depend_on_the_batch():
    encoder, _ = ConvNetwork((8, 16), normalization="group").build((1, 9, 9), 3, 3, 81)
    images = torch.randn(6, 1, 9, 9)
    torch.testing.assert_close(encoder(images)[:1], encoder(images[:1]), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(
    ("network", "parameter"),
    [
        (DenseNetwork(activation="swish"), "activation"),
        (DenseNetwork(normalization="group"), "normalization"),
        (DenseNetwork(dropout=1.0), "dropout"),
        (DenseNetwork((8, 0)), "hidden_sizes"),
        (DenseNetwork("wide"), "hidden_sizes"),
        (DenseNetwork((8.5,)), "hidden_sizes"),
    ],
    ids=str,
)
def test_a_wrong_parameter_is_named(network, parameter):
    with pytest.raises(ParameterError, match=f"^{parameter} must be"):
        network.build((10,), 3, 3, 10)


def test_a_convolutional_network_refuses_rows_of_a_table():
    with pytest.raises(ParameterError, match="to images, got rows"):
        ConvNetwork().build((10,), 3, 3, 10)


def test_a_custom_network_is_copied_not_trained():
    mine = nn.Linear(4, 2)
    encoder, _ = CustomNetwork(mine, nn.Linear(2, 4)).build((4,), 2, 2, 4)
    assert encoder is not mine
    assert torch.equal(encoder.weight, mine.weight)


def test_a_factory_is_asked_for_the_sizes_of_the_data():
    network = CustomNetwork(
        lambda shape, n: nn.Linear(shape[0], n), lambda shape, n: nn.Linear(n, shape[0])
    )
    encoder, decoder = network.build((4,), 6, 3, 4)
    assert (encoder.out_features, decoder.in_features) == (6, 3)


@pytest.mark.parametrize(
    ("encoder", "decoder", "words"),
    [
        (nn.Linear(5, 2), nn.Linear(2, 4), "encoder must take rows of shape"),
        (nn.Linear(4, 3), nn.Linear(2, 4), "encoder must return 2 numbers per row"),
        (nn.Linear(4, 2), nn.Linear(2, 5), "decoder must return 4 numbers per row"),
        (nn.Linear(4, 2), nn.Linear(3, 4), "decoder must take rows of shape"),
        (lambda shape, n: None, nn.Linear(2, 4), "encoder must be an nn.Module"),
    ],
)
def test_a_custom_network_of_the_wrong_shape_is_refused_with_the_layer_to_change(
    encoder, decoder, words
):
    with pytest.raises(ParameterError, match=words):
        CustomNetwork(encoder, decoder).build((4,), 2, 2, 4)


@pytest.mark.parametrize(
    ("network", "parameter"),
    [
        (ConvNetwork(downsampling="skip"), "downsampling"),
        (ConvNetwork(residual_blocks=-1), "residual_blocks"),
        (ConvNetwork(normalization="instance"), "normalization"),
    ],
    ids=str,
)
def test_a_wrong_parameter_of_images_is_named(network, parameter):
    with pytest.raises(ParameterError, match=f"^{parameter} must be"):
        network.build((1, 8, 8), 3, 3, 64)
