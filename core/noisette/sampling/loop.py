"""Drawing pictures: a sampler, a denoiser and the numbers of the pictures."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from noisette.diffusion.denoiser import Denoiser
from noisette.diffusion.noise import Noise
from noisette.errors import NotFiniteError, PluginError

if TYPE_CHECKING:
    from noisette.contracts import Sampler, Shape

__all__ = ["draw", "finished_walk", "walked", "weights_cast_once"]


@torch.no_grad()
def draw(
    denoise: Denoiser, sampler: Sampler, shape: Shape, indices: Sequence[int], seed: int, device: torch.device
) -> Tensor:
    """Draw the pictures of the given numbers, (N, C, H, W) float32, about within [-1, 1].

    Picture i starts from the first noise of its own generator and draws all further noise from it.

    Raises:
        NotFiniteError: if the sampler ends in NaN or infinity.
        PluginError: if the sampler yields nothing, or another shape.
    """
    noise = Noise(seed, indices, shape, device=device)
    return walked(denoise, sampler, noise(), noise)


def walked(denoise: Denoiser, sampler: Sampler, start: Tensor, noise: Noise, steps: int | None = None) -> Tensor:
    """Return the last state of a sampler's walk from `start`, (N, C, H, W), or that after its first `steps`.

    Raises:
        NotFiniteError: if it is NaN or infinite.
        PluginError: if the sampler yields nothing, or another shape.
    """
    x = None
    with weights_cast_once(start):
        for state in islice(sampler.trajectory(denoise, start, noise), steps):
            x = state
    return finished_walk(x, start, sampler)


def weights_cast_once(like: Tensor) -> torch.autocast:
    """Return a context in which a network under autocast casts its weights once, and not at every call.

    What is cast is kept until the outermost context ends: this one, which itself casts nothing.
    """
    return torch.autocast(like.device.type, enabled=False)


def finished_walk(x: Tensor | None, start: Tensor, sampler: Sampler) -> Tensor:
    """Return the last state of a walk, (N, C, H, W), if there is one and it can be a picture.

    Raises:
        NotFiniteError, PluginError: as `walked`.
    """
    if x is None or x.shape != start.shape:
        came = "nothing" if x is None else f"shape {tuple(x.shape)}"
        raise PluginError(f"sampler {sampler.name}: expected states of shape {tuple(start.shape)}; got {came}")
    if not bool(torch.isfinite(x).all()):
        raise NotFiniteError(f"sampler {sampler.label}: the pictures are not finite")
    return x
