"""The diffusion transformer."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Self

from pydantic import Field, PositiveFloat, PositiveInt, model_validator

from noisette import Backbone, DataError, Shape

if TYPE_CHECKING:
    from torch import nn

__all__ = ["DiT"]


class DiT(Backbone):
    """Transformer over the patches of an image; timestep and label modulate its normalisations (adaLN-Zero).

    The defaults are DiT-S/2. DiT-B: width 768, heads 12; DiT-L: depth 24, width 1024, heads 16; DiT-XL: depth 28,
    width 1152, heads 16.
    """

    name: ClassVar[str] = "dit"
    paper: ClassVar[str] = "Peebles & Xie 2023, section 3 and table 1"

    patch: PositiveInt = Field(2, description="side of a patch; one patch is one token")
    depth: int = Field(12, ge=1, le=1000, description="transformer blocks")
    width: int = Field(384, ge=4, description="channels of a token")
    heads: PositiveInt = Field(6, description="attention heads")
    expansion: PositiveFloat = Field(4.0, description="width of the hidden layer of a block, as a multiple")

    @model_validator(mode="after")
    def _check_options(self) -> Self:
        if self.width % self.heads:
            raise ValueError(f"heads: expected a divisor of width = {self.width}; got {self.heads}")
        if self.width % 4:
            raise ValueError(f"width: expected a multiple of 4, for waves of rows and columns; got {self.width}")
        if int(self.width * self.expansion) < 1:
            raise ValueError(f"expansion: expected at least 1 / width; got {self.expansion:g}")
        return self

    def build(self, shape: Shape, classes: int, outputs: int) -> nn.Module:
        """Build the network for one size of images.

        Raises:
            DataError: if a side is no multiple of `patch`.
        """
        from noisette_plugins.backbones.dit_network import DiTNetwork

        if shape[1] % self.patch or shape[2] % self.patch:
            raise DataError(
                f"backbone dit: patches of {self.patch} need sides that are multiples of {self.patch}; "
                f"got {shape[1]}x{shape[2]}: set preparation.size, or another patch"
            )
        return DiTNetwork(self, shape, classes, outputs)
