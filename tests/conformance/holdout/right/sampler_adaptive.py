"""Euler's steps, corrected by Heun's rule for those images whose own error is above a tolerance."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from noisette import Sampler

if TYPE_CHECKING:
    from torch import Tensor

    from noisette import Denoiser, Noise


class Adaptive(Sampler):
    """Euler's steps, corrected by Heun's rule for those images whose own error is above a tolerance.

    Whether an image is corrected hangs on that image alone; the network is not called again where none is. It
    would want to declare that `network_calls` is a most, not a count, and that its order is between 1 and 2.
    """

    name: ClassVar[str] = "adaptive-heun"
    paper: ClassVar[str] = "after Jolicoeur-Martineau et al. 2021"
    adaptive: ClassVar[bool] = True

    tolerance: float = Field(0.01, ge=0, description="root mean square change of eps that is let pass")

    def trajectory(self, denoise: Denoiser, x: Tensor, noise: Noise) -> Iterator[Tensor]:
        """Step with Euler's rule; correct the images whose noise changed since the step before."""
        import torch

        process, before = denoise.process, None
        for t, s in pairwise(process.timesteps(self.steps, self.spacing)):
            (alpha_t, sigma_t), (alpha_s, sigma_s) = process(t), process(s)
            here = denoise(x, t)
            x = alpha_s * here.x0 + sigma_s * here.eps
            if s >= 0 and alpha_t > 0:
                error = here.eps.new_full((len(x),), float("inf"))
                if before is not None:
                    error = (here.eps - before).flatten(1).square().mean(dim=1).sqrt()
                wants = (error > self.tolerance).view(-1, *[1] * (x.ndim - 1))
                if bool(wants.any()):
                    bend = (sigma_s - alpha_s * sigma_t / alpha_t) / 2
                    x = torch.where(wants, x + bend * (denoise(x, s).eps - here.eps), x)
            before = here.eps
            yield x

    def network_calls(self, steps: int, *, from_noise: bool = False) -> int:
        """Return the most: two a step, and one for the last."""
        return 2 * steps - 1


KIND = "sampler"
PLUGIN = Adaptive
