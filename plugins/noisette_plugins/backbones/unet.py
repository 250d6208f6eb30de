"""The U-Net of the DDPM paper, in any size."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Self

from pydantic import Field, NonNegativeInt, PositiveInt, model_validator

from noisette import Backbone, DataError, Shape

if TYPE_CHECKING:
    from torch import nn

__all__ = ["UNet"]


class UNet(Backbone):
    """Residual U-Net with attention; the defaults are the paper's for CIFAR-10 (35,746,307 parameters)."""

    name: ClassVar[str] = "unet"
    paper: ClassVar[str] = "Ho, Jain & Abbeel 2020, appendix B"

    channels: PositiveInt = Field(128, description="channels at full resolution")
    multipliers: tuple[PositiveInt, ...] = Field(
        (1, 2, 2, 2),
        min_length=1,
        description="channels of each level, as multiples; each level halves the size",
    )
    blocks: PositiveInt = Field(2, description="residual blocks a level")
    attention: tuple[NonNegativeInt, ...] = Field((1,), description="levels with attention; 0 is full resolution")
    heads: PositiveInt = Field(1, description="attention heads")
    groups: PositiveInt = Field(32, description="groups of the normalisation")
    dropout: float = Field(0.0, ge=0, lt=1, description="dropout in the residual blocks")

    @model_validator(mode="after")
    def _fits(self) -> Self:
        divisor = {"groups": self.groups, "heads": self.heads}
        for option, number in divisor.items():
            if self.channels % number:
                raise ValueError(f"{option}: expected a divisor of channels = {self.channels}; got {number}")
        if self.attention and max(self.attention) >= len(self.multipliers):
            raise ValueError(
                f"attention: expected levels within 0 to {len(self.multipliers) - 1}; got {max(self.attention)}"
            )
        return self

    def build(self, shape: Shape, classes: int, outputs: int) -> nn.Module:
        """Build the network for pictures whose sides are at least 2^(levels - 1); odd sizes work.

        Raises:
            DataError: if the pictures are too small for so many levels.
        """
        from noisette_plugins.backbones.unet_network import UNetNetwork

        least = 2 ** (len(self.multipliers) - 1)
        if min(shape[1:]) < least:
            raise DataError(
                f"backbone unet: {len(self.multipliers)} levels need pictures of at least {least}x{least}; "
                f"got {shape[1]}x{shape[2]}: use fewer multipliers or a larger preparation.size"
            )
        return UNetNetwork(self, shape[0], classes, outputs)
