"""Networks for images: the convolutional autoencoder and the U-net.

These modules import from the core files of ``latently.nn`` only. Architectures that need the
height and width of an image belong here.
"""

from latently.nn.images._convolutional import ConvNetwork, Resize
from latently.nn.images._unet import Residual, UNet, UNetModule

__all__ = ["ConvNetwork", "Residual", "Resize", "UNet", "UNetModule"]
