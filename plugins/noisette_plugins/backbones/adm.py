"""The U-Net of improved DDPM and of the ablated diffusion model (ADM)."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal, Self

from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt, model_validator

from noisette import Backbone, Shape

if TYPE_CHECKING:
    from torch import nn

    from noisette_plugins.backbones.unet_network import Design

__all__ = ["ADM"]


class ADM(Backbone):
    """U-Net with feature maps scaled and shifted by timestep and label; the defaults are ADM's for ImageNet 64.

    Improved DDPM's for CIFAR-10 is `channels: 128, multipliers: [1, 2, 2, 2], blocks: 3, attention: [1, 2], heads:
    4, head_channels: null, resampling: convolution, dropout: 0.3`.
    """

    name: ClassVar[str] = "adm"
    paper: ClassVar[str] = "Nichol & Dhariwal 2021, section 3 and appendix A; Dhariwal & Nichol 2021, section 3"

    channels: int = Field(192, ge=2, description="channels of a level whose multiplier is 1")
    multipliers: tuple[PositiveFloat, ...] = Field(
        (1, 2, 3, 4),
        min_length=1,
        description="channels of each level, as multiples; each level halves the size",
    )
    blocks: int = Field(3, ge=1, le=1000, description="residual blocks a level")
    attention: tuple[NonNegativeInt, ...] = Field((1, 2, 3), description="levels with attention; 0 is full size")
    heads: PositiveInt | None = Field(None, description="attention heads; null: as many as head_channels gives")
    head_channels: PositiveInt | None = Field(64, description="channels of a head; null: heads says how many")
    groups: PositiveInt = Field(32, description="groups of the normalisation")
    dropout: float = Field(0.0, ge=0, lt=1, description="dropout in the residual blocks")
    scale_shift: bool = Field(True, description="step and label scale and shift; false adds them")
    resampling: Literal["residual", "convolution"] = Field(
        "residual", description="what changes the size: residual blocks, or single convolutions"
    )

    @model_validator(mode="after")
    def _check_options(self) -> Self:
        if (self.heads is None) == (self.head_channels is None):
            raise ValueError("head_channels: expected either heads or head_channels, and null for the other")
        if self.attention and max(self.attention) >= len(self.multipliers):
            raise ValueError(
                f"attention: expected levels within 0 to {len(self.multipliers) - 1}; got {max(self.attention)}"
            )
        for level, width in enumerate(self._widths()):
            self._check_width(level, width)
        return self

    def _check_width(self, level: int, width: int) -> None:
        if not width or width % self.groups:
            raise ValueError(f"groups: expected a divisor of level {level}'s {width} channels; got {self.groups}")
        option = "heads" if self.heads else "head_channels"
        attends = level in self.attention or level == len(self.multipliers) - 1
        if attends and width % getattr(self, option):
            raise ValueError(
                f"{option}: expected a divisor of level {level}'s {width} channels; got {getattr(self, option)}"
            )

    def _widths(self) -> tuple[int, ...]:
        return tuple(int(self.channels * multiplier) for multiplier in self.multipliers)

    def design(self) -> Design:
        """Return the network's design."""
        from noisette_plugins.backbones.unet_network import Design

        return Design(
            widths=self._widths(),
            blocks=self.blocks,
            attention=self.attention,
            groups=self.groups,
            dropout=self.dropout,
            epsilon=1e-5,
            waves=self.channels // 2,
            width=4 * self.channels,
            heads=self.heads,
            head_channels=self.head_channels,
            shift=0,
            cosine_first=True,
            scale_shift=self.scale_shift,
            resampling=self.resampling,
            symmetric_padding=True,
        )

    def build(self, shape: Shape, classes: int, outputs: int) -> nn.Module:
        """Build the network; any size works, odd ones too. Learned variance asks for twice the outputs."""
        from noisette_plugins.backbones.unet_network import UNetNetwork

        return UNetNetwork(self.design(), shape[0], classes, outputs)
