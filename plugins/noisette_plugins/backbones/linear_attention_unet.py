"""The U-Net with linear attention of the widely used denoising-diffusion-pytorch library."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal, Self

from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt, model_validator

from noisette import Backbone, DataError, Shape

if TYPE_CHECKING:
    from torch import nn

    from noisette.plugin_api import Pretrained

__all__ = ["LinearAttentionUNet"]


class LinearAttentionUNet(Backbone):
    """U-Net with attention at every level, of linear cost above the lowest; 35,711,491 parameters for RGB."""

    name: ClassVar[str] = "linear-attention-unet"
    paper: ClassVar[str] = (
        "Wang's library denoising-diffusion-pytorch; linear attention: Shen et al. 2021, section 3.2"
    )

    channels: int = Field(64, ge=4, description="channels of a level whose multiplier is 1")
    multipliers: tuple[PositiveInt, ...] = Field(
        (1, 2, 4, 8),
        min_length=1,
        description="channels that each level ends in, as multiples; each level but the last halves the size",
    )
    full_attention: tuple[NonNegativeInt, ...] | None = Field(
        None, description="levels whose attention is full, not linear; null: the lowest"
    )
    heads: PositiveInt = Field(4, description="attention heads")
    head_channels: PositiveInt = Field(32, description="channels of a head")
    memory: NonNegativeInt = Field(4, description="learned keys and values that every position also sees")
    time: Literal["fixed", "learned", "random"] = Field(
        "fixed",
        description="rates of the timestep embedding: fixed, or random and then learned or not",
    )
    time_waves: PositiveInt = Field(8, description="learned or random rates")
    theta: PositiveFloat = Field(10_000.0, description="fixed rates: the slowest is 1 / theta")
    dropout: float = Field(0.0, ge=0, lt=1, description="dropout in the residual blocks")
    flash: bool = Field(True, description="full attention by the library's fused kernel; false writes it out")

    @model_validator(mode="after")
    def _check_options(self) -> Self:
        levels = len(self.multipliers)
        if self.full_attention and max(self.full_attention) >= levels:
            raise ValueError(
                f"full_attention: expected levels within 0 to {levels - 1}; got {max(self.full_attention)}"
            )
        return self

    def build(self, shape: Shape, classes: int, outputs: int) -> nn.Module:
        """Build the network.

        Raises:
            DataError: if a side is no multiple of 2^(levels - 1).
        """
        from noisette_plugins.backbones.linear_attention_network import LinearAttentionNetwork

        factor = 2 ** (len(self.multipliers) - 1)
        if shape[1] % factor or shape[2] % factor:
            raise DataError(
                f"backbone {self.name}: {len(self.multipliers)} levels need sides that are multiples of {factor}; "
                f"got {shape[1]}x{shape[2]}: set preparation.size, or use fewer multipliers"
            )
        return LinearAttentionNetwork(self, shape[0], classes, outputs)

    @classmethod
    def import_pretrained(cls, path: Path) -> Pretrained | None:
        """Read a file of the library: of its Unet, or of its Trainer, whose averaged weights are used."""
        if not path.is_file() or path.suffix not in (".pt", ".pth", ".safetensors"):
            return None
        from noisette_plugins.backbones.exchange import load_lucidrains

        return load_lucidrains(cls, path)
