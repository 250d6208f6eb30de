"""The U-Net of the DDPM paper, in any size."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal, Self

from pydantic import Field, NonNegativeInt, PositiveInt, model_validator

from noisette import Backbone, Shape

if TYPE_CHECKING:
    from torch import nn

    from noisette.plugin_api import Checkpoint, Pretrained
    from noisette_plugins.backbones.unet_network import Design

__all__ = ["UNet"]


class UNet(Backbone):
    """Residual U-Net with attention; the defaults are the paper's for CIFAR-10 (35,746,307 parameters)."""

    name: ClassVar[str] = "unet"
    paper: ClassVar[str] = "Ho, Jain & Abbeel 2020, appendix B"

    channels: int = Field(128, ge=2, description="channels at full resolution")
    multipliers: tuple[PositiveInt, ...] = Field(
        (1, 2, 2, 2),
        min_length=1,
        description="channels of each level, as multiples; each level halves the size",
    )
    blocks: int = Field(2, ge=1, le=1000, description="residual blocks a level")
    attention: tuple[NonNegativeInt, ...] = Field((1,), description="levels with attention; 0 is full resolution")
    heads: PositiveInt = Field(1, description="attention heads")
    head_channels: PositiveInt | None = Field(None, description="channels of a head, instead of a number of heads")
    groups: PositiveInt = Field(32, description="groups of the normalisation")
    dropout: float = Field(0.0, ge=0, lt=1, description="dropout in the residual blocks")
    epsilon: float = Field(1e-6, gt=0, description="keeps the normalisation's division finite")
    time_channels: int | None = Field(
        None, ge=2, description="sines and cosines of the timestep embedding; null: as many as `channels`"
    )
    time_shift: Literal[0, 1] = Field(1, description="1: the slowest of them is 1/10000, as in the paper's code")
    padding: Literal["right", "around"] = Field(
        "right", description="where convolutions that halve the size are padded: right and below, or all round"
    )

    @model_validator(mode="after")
    def _check_options(self) -> Self:
        for option in ("groups", "heads"):
            number = getattr(self, option)
            if self.channels % number:
                raise ValueError(f"{option}: expected a divisor of channels = {self.channels}; got {number}")
        if self.attention and max(self.attention) >= len(self.multipliers):
            raise ValueError(
                f"attention: expected levels within 0 to {len(self.multipliers) - 1}; got {max(self.attention)}"
            )
        self._check_heads()
        return self

    def _check_heads(self) -> None:
        if self.head_channels is None:
            return
        if self.heads != 1:
            raise ValueError(f"head_channels: expected null beside heads = {self.heads}; got {self.head_channels}")
        for level in {*self.attention, len(self.multipliers) - 1}:
            width = self.channels * self.multipliers[level]
            if width % self.head_channels:
                raise ValueError(
                    f"head_channels: expected a divisor of level {level}'s {width} channels; "
                    f"got {self.head_channels}"
                )

    def design(self) -> Design:
        """Return the network's design."""
        from noisette_plugins.backbones.unet_network import Design

        return Design(
            widths=tuple(self.channels * multiplier for multiplier in self.multipliers),
            blocks=self.blocks,
            attention=self.attention,
            groups=self.groups,
            dropout=self.dropout,
            epsilon=self.epsilon,
            waves=(self.time_channels or self.channels) // 2,
            width=4 * self.channels,
            heads=self.heads if self.head_channels is None else None,
            head_channels=self.head_channels,
            shift=self.time_shift,
            symmetric_padding=self.padding == "around",
        )

    def build(self, shape: Shape, classes: int, outputs: int) -> nn.Module:
        """Build the network for images whose sides are at least 2^(levels - 1); odd sizes work.

        Raises:
            DataError: if the images are too small for so many levels.
        """
        from noisette_plugins.backbones.unet_network import UNetNetwork

        design = self.design()
        design.check(self.name, shape)
        return UNetNetwork(design, shape[0], classes, outputs)

    def export(self, checkpoint: Checkpoint, folder: Path, label: str | None = None) -> None:
        """Write diffusers' DDPMPipeline."""
        from noisette_plugins.backbones.exchange import export_pipeline

        export_pipeline(self, checkpoint, folder, label=label)

    @classmethod
    def import_pretrained(cls, path: Path) -> Pretrained | None:
        """Read the folder of diffusers' UNet2DModel, or of a pipeline with one."""
        if not any((path / home / "config.json").is_file() for home in (".", "unet")):
            return None
        from noisette_plugins.backbones.exchange import load_diffusers

        return load_diffusers(cls, path)
