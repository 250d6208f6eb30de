"""Ancestral sampling with factors from tensors on x's device."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import TYPE_CHECKING, ClassVar

from noisette import Sampler

if TYPE_CHECKING:
    from torch import Tensor

    from noisette import Denoiser, Noise


class TablesInDtypeOfX(Sampler):
    """Ancestral sampling with factors from tensors on x's device."""

    name: ClassVar[str] = "ancestral-cast"
    paper: ClassVar[str] = "Ho, Jain & Abbeel 2020, algorithm 2"
    stochastic: ClassVar[bool] = True

    def trajectory(self, denoise: Denoiser, x: Tensor, noise: Noise) -> Iterator[Tensor]:
        """Draw from the posterior of each jump."""
        import torch

        process = denoise.process
        squares = process.alphas.to(x) ** 2
        for t, s in pairwise(process.timesteps(self.steps, self.spacing)):
            bar_t, bar_s = squares[t], squares[s]
            beta = 1 - bar_t / bar_s
            seen = denoise(x, t)
            x = (bar_s.sqrt() * beta * seen.x0 + (1 - beta).sqrt() * (1 - bar_s) * x) / (1 - bar_t)
            if s >= 0:
                x = x + torch.sqrt(beta * (1 - bar_s) / (1 - bar_t)) * noise()
            yield x


KIND = "sampler"
PLUGIN = TablesInDtypeOfX
CAUSE = (
    "the tables are cast to x's dtype before 1 - alpha² is formed, which loses all digits in bfloat16 and"
    " three in float32"
)
WORDS = ("dtype", "precision", "bfloat16", "finite", "NaN")
