"""The residual block of diffusion U-Nets."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn

from noisette_plugins.backbones.initial import zeroed
from noisette_plugins.backbones.norm import GroupNormSiLU

__all__ = ["ResidualBlock"]


class ResidualBlock(nn.Module):
    """Two convolutions beside a skip; between them the embedding has its say.

    Sums are taken in the place of a convolution's result, which its backward does without.

    The embedding is added (Ho et al. 2020), or scales and shifts what was normalised (Nichol & Dhariwal 2021).
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        width: int,
        groups: int,
        dropout: float,
        *,
        epsilon: float = 1e-5,
        scale_shift: bool = False,
    ) -> None:
        super().__init__()
        self.scale_shift = scale_shift
        self.norm1 = GroupNormSiLU(groups, inputs, eps=epsilon)
        self.conv1 = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.embed = nn.Linear(width, 2 * outputs if scale_shift else outputs)
        self.norm2 = GroupNormSiLU(groups, outputs, eps=epsilon)
        self.dropout = nn.Dropout(dropout)
        self.conv2 = zeroed(nn.Conv2d(outputs, outputs, 3, padding=1))
        self.skip = nn.Conv2d(inputs, outputs, 1) if inputs != outputs else nn.Identity()

    def forward(self, x: Tensor, embedding: Tensor, resize: Callable[[Tensor], Tensor] | None = None) -> Tensor:
        """Transform x (N, C, H, W) under the activated embedding (N, width).

        With `resize` the block changes the size: of the skip, and of what enters the first convolution.
        """
        hidden = self.norm1(x)
        if resize is not None:
            hidden, x = resize(hidden), resize(x)
        hidden = self._told(self.conv1(hidden), self.embed(embedding))
        out: Tensor = self.conv2(self.dropout(hidden))
        out += self.skip(x)
        return out

    def _told(self, hidden: Tensor, told: Tensor) -> Tensor:
        """Normalise and activate under what the embedding says, (N, C) or (N, 2 C)."""
        if self.scale_shift:
            activated: Tensor = self.norm2(hidden, *told.chunk(2, dim=1))
        else:
            hidden += told[:, :, None, None]
            activated = self.norm2(hidden)
        return activated
