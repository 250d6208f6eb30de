"""The U-Net of a well-known "DDPM from scratch" tutorial."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Self

from pydantic import Field, PositiveInt, model_validator

from noisette import Backbone, Shape

if TYPE_CHECKING:
    from torch import nn

__all__ = ["ScratchUNet"]


class ScratchUNet(Backbone):
    """Plain U-Net: ReLU, timestep embeddings added unchanged, attention without a skip (35,178,689 parameters).

    The first half of its layers double the channels and halve the size; the others halve the channels and double
    the size. The features of each layer of the first half, before halving, are
    concatenated to the output of its counterpart. The defaults have the widths 64, 128, 256, 512, 512, 384.
    """

    name: ClassVar[str] = "scratch-unet"
    paper: ClassVar[str] = "N. D., Diffusion-Models-from-Scratch (2024), after Ho, Jain & Abbeel 2020"

    channels: int = Field(64, ge=2, description="channels of the first layer")
    levels: int = Field(3, ge=1, le=32, description="layers on the way down, and as many on the way up")
    attention: tuple[PositiveInt, ...] = Field((2, 6), description="layers with attention, counted from 1")
    heads: PositiveInt = Field(8, description="attention heads")
    groups: PositiveInt = Field(32, description="groups of the normalisation")
    dropout: float = Field(0.1, ge=0, lt=1, description="dropout in the blocks and in the attention")

    @model_validator(mode="after")
    def _check_options(self) -> Self:
        if self.channels % 2 or self.channels % self.groups:
            raise ValueError(f"groups: expected a divisor of channels = {self.channels}, even; got {self.groups}")
        if self.attention and max(self.attention) > 2 * self.levels:
            raise ValueError(f"attention: expected layers within 1 to {2 * self.levels}; got {max(self.attention)}")
        for layer, width in enumerate(self.widths, start=1):
            if layer in self.attention and width % self.heads:
                raise ValueError(f"heads: expected a divisor of layer {layer}'s {width} channels; got {self.heads}")
        return self

    @property
    def widths(self) -> tuple[int, ...]:
        """Channels that enter each layer."""
        down = [self.channels * 2**level for level in range(self.levels)]
        up = [2 * down[-1]]
        for twin in reversed(down[1:]):
            up.append(up[-1] // 2 + twin)
        return (*down, *up)

    def build(self, shape: Shape, classes: int, outputs: int) -> nn.Module:
        """Build the network; any size works: odd ones are rounded up on the way down, and cut on the way up."""
        from noisette_plugins.backbones.scratch_network import ScratchNetwork

        return ScratchNetwork(self, shape[0], classes, outputs)
