"""The U-Net of labml's annotated implementation of the DDPM paper."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, ClassVar, Self

from pydantic import Field, NonNegativeInt, PositiveInt, model_validator

from noisette import Backbone, DataError, Shape

if TYPE_CHECKING:
    from torch import nn

__all__ = ["LabmlUNet"]


class LabmlUNet(Backbone):
    """U-Net whose multipliers compound: 64, 128, 256 and 1024 channels (167,775,681 parameters).

    It is the paper's with a convolution for upsampling, attention without its own normalisation, and default
    initial weights everywhere.
    """

    name: ClassVar[str] = "labml-unet"
    paper: ClassVar[str] = "labml.ai, annotated_deep_learning_paper_implementations, after Ho, Jain & Abbeel 2020"

    channels: int = Field(64, ge=32, multiple_of=32, description="channels before the first level")
    multipliers: tuple[PositiveInt, ...] = Field(
        (1, 2, 2, 4),
        min_length=1,
        description="channels of each level, as multiples of the level's before; each level but the last halves",
    )
    blocks: PositiveInt = Field(2, description="residual blocks a level; one more on the way up")
    attention: tuple[NonNegativeInt, ...] = Field((3,), description="levels with attention; 0 is full resolution")
    dropout: float = Field(0.1, ge=0, lt=1, description="dropout in the residual blocks")

    @model_validator(mode="after")
    def _check_attention(self) -> Self:
        if self.attention and max(self.attention) >= len(self.multipliers):
            raise ValueError(
                f"attention: expected levels within 0 to {len(self.multipliers) - 1}; got {max(self.attention)}"
            )
        return self

    @property
    def widths(self) -> tuple[int, ...]:
        """Channels of each level."""
        return tuple(self.channels * prod(self.multipliers[: level + 1]) for level in range(len(self.multipliers)))

    def build(self, shape: Shape, classes: int, outputs: int) -> nn.Module:
        """Build the network.

        Raises:
            DataError: if a side is no multiple of 2^(levels - 1).
        """
        from noisette_plugins.backbones.labml_network import LabmlNetwork

        factor = 2 ** (len(self.multipliers) - 1)
        if shape[1] % factor or shape[2] % factor:
            raise DataError(
                f"backbone {self.name}: expected sides that are multiples of {factor}; got {shape[1]}x{shape[2]}: "
                "set preparation.size, or use fewer multipliers"
            )
        return LabmlNetwork(self, shape[0], classes, outputs)
