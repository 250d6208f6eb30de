"""Generating images with a sampler, a denoiser and the indices of the images."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from noisette.diffusion.denoiser import Denoiser
from noisette.diffusion.noise import Noise
from noisette.errors import DataError, NotFiniteError, PluginError
from noisette.model.conditioning import downsample, upsample
from noisette.pixels import to_unit

if TYPE_CHECKING:
    from noisette.contracts import Sampler, Shape
    from noisette.data import Prepared
    from noisette.model.model import Model

__all__ = [
    "autocast_weight_cache",
    "check_final_state",
    "generate",
    "load_low_res",
    "sample_loop",
]


@torch.no_grad()
def generate(
    denoise: Denoiser, sampler: Sampler, shape: Shape, indices: Sequence[int], seed: int, device: torch.device
) -> Tensor:
    """Generate images, (N, C, H, W) float32, about within [-1, 1].

    Image i starts from the first noise of its own generator, from which all its noise is drawn.

    Args:
        denoise: the denoiser.
        sampler: the sampler.
        shape: channels, height and width of an image.
        indices: indices of the images, which decide their noise.
        seed: seed of all noise.
        device: device of the denoiser.

    Raises:
        NotFiniteError: if the sampler ends in NaN or infinity.
        PluginError: if the sampler yields nothing, or another shape.
    """
    noise = Noise(seed, indices, shape, device=device)
    return sample_loop(denoise, sampler, noise(), noise)


def sample_loop(
    denoise: Denoiser, sampler: Sampler, start: Tensor, noise: Noise, steps: int | None = None
) -> Tensor:
    """Return the last state of a trajectory from `start`, (N, C, H, W), or the state after its first `steps`.

    Raises:
        NotFiniteError: if it is NaN or infinite.
        PluginError: if the sampler yields nothing, or another shape.
    """
    x = None
    with autocast_weight_cache(start):
        for state in islice(sampler.trajectory(denoise, start, noise), steps):
            x = state
    return check_final_state(x, start, sampler)


def autocast_weight_cache(like: Tensor) -> torch.autocast:
    """Return a context in which a network under autocast casts its weights only once.

    The cast weights are cached until the outermost autocast context ends: this one, which itself casts nothing.
    """
    return torch.autocast(like.device.type, enabled=False)


def check_final_state(x: Tensor | None, start: Tensor, sampler: Sampler) -> Tensor:
    """Return the last state of a trajectory, (N, C, H, W), after checking it.

    Raises:
        NotFiniteError, PluginError: as `sample_loop`.
    """
    if x is None or x.shape != start.shape:
        actual = "nothing" if x is None else f"shape {tuple(x.shape)}"
        raise PluginError(f"sampler {sampler.name}: expected states of shape {tuple(start.shape)}; got {actual}")
    if not bool(torch.isfinite(x).all()):
        raise NotFiniteError(f"sampler {sampler.label}: the images are not finite")
    return x


def load_low_res(model: Model, data: Prepared | None, indices: Sequence[int]) -> Tensor | None:
    """Return low-resolution images enlarged to full size, (N, C, H, W); None if the network takes none.

    Image i is image i mod N of the test split, made small and enlarged.

    Raises:
        DataError: if there are no prepared images of a test split.
    """
    side = model.conditioning.low_res_size
    if side is None:
        return None
    if data is None or not len(data.images("test")):
        raise DataError("super-resolution: expected prepared images of a test split; got none")
    images = data.images("test")
    rows = [index % len(images) for index in indices]
    x0 = to_unit(torch.from_numpy(images[rows]))
    return upsample(downsample(x0, side), model.shape[1:]).to(model.machine.device)
