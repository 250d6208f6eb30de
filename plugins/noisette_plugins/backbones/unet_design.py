"""What the U-Nets of the DDPM family have in common, and where they differ."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from noisette import DataError, Shape

__all__ = ["Design"]


@dataclass(frozen=True)
class Design:
    """A U-Net whose levels halve the size; `UNetNetwork` is made of it.

    Attributes:
        widths: channels of each level, from full resolution down.
        blocks: residual blocks of a level on the way down; on the way up there is one more.
        attention: levels with attention behind each block; the middle always has it.
        heads: attention heads, or None if `head_channels` says how wide one is.
        waves: sines, and as many cosines, that tell the step.
        shift: see `Waves`.
        width: of the embedding of step and label.
        scale_shift: whether the embedding scales and shifts, rather than being added.
        resampling: by convolutions or by residual blocks.
        all_round: whether convolutions that halve the size are padded all round, or right and below.
    """

    widths: tuple[int, ...]
    blocks: int
    attention: tuple[int, ...]
    groups: int
    dropout: float
    epsilon: float
    waves: int
    width: int
    heads: int | None = 1
    head_channels: int | None = None
    shift: int = 1
    cosine_first: bool = False
    scale_shift: bool = False
    resampling: Literal["convolution", "residual"] = "convolution"
    symmetric_padding: bool = False

    def heads_at(self, width: int) -> int:
        """Return the heads of an attention over `width` channels."""
        return self.heads if self.heads is not None else width // (self.head_channels or width)

    @property
    def min_side(self) -> int:
        """The least side of an image that can be halved often enough."""
        rounds_up = self.symmetric_padding or self.resampling == "residual"
        return 1 if rounds_up else 2 ** (len(self.widths) - 1)

    def check(self, name: str, shape: Shape) -> None:
        """Refuse images that are too small for so many levels.

        Raises:
            DataError: that says what is possible.
        """
        if min(shape[1:]) < self.min_side:
            raise DataError(
                f"backbone {name}: {len(self.widths)} levels need at least {self.min_side}x{self.min_side} pixels; "
                f"got {shape[1]}x{shape[2]}: use fewer multipliers or a larger preparation.size"
            )
