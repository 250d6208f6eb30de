"""Adams and Bashforth's second-order rule on the noise."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import PrivateAttr

from noisette import Sampler

if TYPE_CHECKING:
    from torch import Tensor

    from noisette import Denoiser, Noise


class RemembersWalks(Sampler):
    """Adams and Bashforth's second-order rule on the noise."""

    name: ClassVar[str] = "ab2-remembers"
    paper: ClassVar[str] = "Liu, Ren, Lin & Zhao 2022, eq. 12"

    _seen: list[Any] = PrivateAttr(default_factory=list)

    def trajectory(self, denoise: Denoiser, x: Tensor, noise: Noise) -> Iterator[Tensor]:
        """Extrapolate from the view of the step before."""
        process = denoise.process
        for t, s in pairwise(process.timesteps(self.steps, self.spacing)):
            here = denoise(x, t)
            (alpha_t, sigma_t), (alpha_s, sigma_s) = process(t), process(s)
            if self._seen and self._seen[-1].shape == x.shape and alpha_t > 0:
                eps = 1.5 * here.eps - 0.5 * self._seen[-1]
                x = alpha_s / alpha_t * x + (sigma_s - alpha_s * sigma_t / alpha_t) * eps
            else:
                x = alpha_s * here.x0 + sigma_s * here.eps
            self._seen.append(here.eps)
            del self._seen[:-1]
            yield x


KIND = "sampler"
PLUGIN = RemembersWalks
CAUSE = (
    "the history of a linear multistep rule lives in the sampler and is not cleared, so the second walk "
    "begins with the views of the first"
)
WORDS = ("second", "walk", "state", "repeat", "same")
