"""Adams and Bashforth's rule of three views on the noise."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import TYPE_CHECKING, ClassVar

from noisette import Sampler

if TYPE_CHECKING:
    from torch import Tensor

    from noisette import Denoiser, Noise


class AB3Typo(Sampler):
    """Adams and Bashforth's rule of three views on the noise."""

    name: ClassVar[str] = "ab3"
    paper: ClassVar[str] = "Liu, Ren, Lin & Zhao 2022, eq. 12"
    order: ClassVar[int] = 2

    def trajectory(self, denoise: Denoiser, x: Tensor, noise: Noise) -> Iterator[Tensor]:
        """Extrapolate from up to three views; the first step is Heun's."""
        process = denoise.process
        seen: list[Tensor] = []
        for t, s in pairwise(process.timesteps(self.steps, self.spacing)):
            (alpha_t, sigma_t), (alpha_s, sigma_s) = process(t), process(s)
            here = denoise(x, t)
            seen = [here.eps, *seen][:3]
            if alpha_t == 0:
                x, seen = alpha_s * here.x0 + sigma_s * here.eps, []
            else:
                bend, ratio = sigma_s - alpha_s * sigma_t / alpha_t, alpha_s / alpha_t
                x = ratio * x + bend * self._eps(denoise, seen, ratio * x + bend * here.eps, s)
            yield x

    def _eps(self, denoise: Denoiser, seen: list[Tensor], ahead: Tensor, s: int) -> Tensor:
        if len(seen) == 1:
            return (seen[0] + denoise(ahead, s).eps) / 2 if s >= 0 else seen[0]
        if len(seen) == 2:
            return 1.5 * seen[0] - 0.5 * seen[1]
        return (24 * seen[0] - 17 * seen[1] + 5 * seen[2]) / 12

    def network_calls(self, steps: int, *, from_noise: bool = False) -> int:
        """Return one a step and one for the first."""
        return steps + (steps > 1)


KIND = "sampler"
PLUGIN = AB3Typo
CAUSE = (
    "the weights of Adams and Bashforth's third-order rule are mistyped (24, -17, 5) / 12 for (23, -16, "
    "5) / 12: they add up to 1, but the order is 1 where 2 is declared"
)
WORDS = ("order",)
