"""Networks for images: the convolutional autoencoder and the U-net.

These modules import from the core files of ``latently.nn`` only. Architectures that need the
height and width of an image belong here.
"""

from latently.nn.images._convolutional import ConvNetwork
from latently.nn.images._unet import UNetModule

__all__ = ["ConvNetwork", "UNetModule"]
