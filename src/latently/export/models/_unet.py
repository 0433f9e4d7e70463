"""The U-net in a graph, which denoises images of any size."""

from __future__ import annotations

from latently.exceptions import ParameterError
from latently.export._columns import Encoded
from latently.export._likelihood import pixel_errors
from latently.export.models._codes import Rebuilt
from latently.export.models._layers import bottom, unet
from latently.nn import UNetModule


def check_unet(module: UNetModule) -> None:
    """Raise ParameterError if images are enlarged."""
    if module.enlarge > 1:
        raise ParameterError(
            f"enlarge must be 1 to be exported, got {module.enlarge}. Fit a UNetAutoencoder with "
            "enlarge=1."
        )


def rebuild_images(module: UNetModule, encoded: Encoded) -> Rebuilt:
    """Return codes, clean images and errors.

    Parameters
    ----------
    module : UNetModule
        Trained module.
    encoded : Encoded
        Images of shape (n_rows, channels, height, width).
    """
    noisy, graph = encoded.values, encoded.values.graph
    code = bottom(module.encoder, noisy)[-1].mean((2, 3))
    if module.kind == "bernoulli":
        parameters = unet(module.encoder, noisy)
        mean = parameters.sigmoid()
    else:
        level = noisy.mean((2, 3), keep=True)
        parameters = mean = noisy + unet(module.encoder, noisy - level)
    flat, target = (graph.apply("Flatten", image, axis=1) for image in (parameters, noisy))
    errors = pixel_errors(module.kind, flat, target, encoded.observed)
    return Rebuilt(code, mean, errors)
