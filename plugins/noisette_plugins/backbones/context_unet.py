"""The network of a well-known conditional MNIST script."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import Field, PositiveInt

from noisette import Backbone, DataError, Shape

if TYPE_CHECKING:
    from torch import nn

__all__ = ["ContextUNet"]


class ContextUNet(Backbone):
    """Small U-Net with batch normalisation, scaled by the label and shifted by the time (6,585,601 parameters).

    The image is halved twice and then averaged to a vector. On the way up the features are multiplied by an
    embedding of the label, and one of the time is added. A hidden label is a vector of zeros.
    """

    name: ClassVar[str] = "context-unet"
    paper: ClassVar[str] = "T. Pearce, Conditional_Diffusion_MNIST (2022), after Ho & Salimans 2022"

    channels: int = Field(128, ge=8, multiple_of=8, description="channels at full resolution")
    timesteps: PositiveInt = Field(400, description="T of the process: the network gets the time (t + 1) / T")

    def build(self, shape: Shape, classes: int, outputs: int) -> nn.Module:
        """Build the network.

        Raises:
            DataError: if a side is no multiple of 4.
        """
        from noisette_plugins.backbones.context_network import ContextNetwork

        if shape[1] % 4 or shape[2] % 4:
            raise DataError(
                f"backbone {self.name}: expected sides that are multiples of 4; got {shape[1]}x{shape[2]}: set "
                "preparation.size"
            )
        return ContextNetwork(self.channels, self.timesteps, shape, classes, outputs)
