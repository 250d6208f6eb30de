"""A small U-Net for few pixels and machines without a GPU."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Self

from pydantic import Field, NonNegativeInt, PositiveInt, model_validator

from noisette import Backbone, Shape

if TYPE_CHECKING:
    from torch import nn

__all__ = ["Small"]


class Small(Backbone):
    """U-Net for images of about 8 to 32 pixels, for quality per second on a CPU (1.5 million parameters).

    Compared with `unet`, it has fewer blocks at full size and more at lower sizes, adds the skip connections, has
    widths that change with the size, is scaled and shifted by timestep and label, and has groups that are wide
    enough for fast normalisation in bf16.
    """

    name: ClassVar[str] = "small"
    paper: ClassVar[str] = "Ho, Jain & Abbeel 2020 and Nichol & Dhariwal 2021, trimmed"

    channels: PositiveInt = Field(32, description="channels at full resolution")
    multipliers: tuple[PositiveInt, ...] = Field(
        (1, 2, 4),
        min_length=1,
        description="channels of each level, as multiples; each level halves the size",
    )
    blocks: tuple[PositiveInt, ...] = Field(
        (1, 2, 2), description="residual blocks of each level, on the way down and again on the way up"
    )
    attention: tuple[NonNegativeInt, ...] | None = Field(
        None, description="levels with attention behind each block; null: the lowest"
    )
    head_channels: PositiveInt = Field(32, description="channels of an attention head")
    group_channels: PositiveInt = Field(
        16, description="channels of a group of the normalisation; with less than 16 bf16 is slow on a CPU"
    )
    dropout: float = Field(0.0, ge=0, lt=1, description="dropout in the residual blocks")

    @model_validator(mode="after")
    def _check_options(self) -> Self:
        levels = len(self.multipliers)
        if len(self.blocks) != levels:
            raise ValueError(
                f"blocks: expected {levels} numbers, one for each of multipliers; got {len(self.blocks)}"
            )
        if max(self.attending, default=0) >= levels:
            raise ValueError(f"attention: expected levels within 0 to {levels - 1}; got {max(self.attending)}")
        if self.channels % self.group_channels:
            raise ValueError(
                f"group_channels: expected a divisor of channels = {self.channels}; got {self.group_channels}"
            )
        for level in self.attending:
            if self.widths[level] % self.head_channels:
                raise ValueError(
                    f"head_channels: expected a divisor of level {level}'s {self.widths[level]} channels; "
                    f"got {self.head_channels}"
                )
        return self

    @property
    def widths(self) -> tuple[int, ...]:
        """Channels of each level."""
        return tuple(self.channels * multiplier for multiplier in self.multipliers)

    @property
    def attending(self) -> tuple[int, ...]:
        """Levels with attention."""
        return (len(self.multipliers) - 1,) if self.attention is None else self.attention

    def build(self, shape: Shape, classes: int, outputs: int) -> nn.Module:
        """Build the network; any size works, odd ones too."""
        from noisette_plugins.backbones.small_network import SmallNetwork

        return SmallNetwork(self, shape[0], classes, outputs)
