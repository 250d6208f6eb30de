"""Noise that depends on the image, not on the batch.

Image i draws from its own generator, seeded by (seed, i). A generated image is therefore a function of checkpoint,
sampler, seed and i, whatever the batch size, the number of processes, or a restart.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b

import torch
from torch import Tensor

__all__ = ["Noise", "derive_seed", "seeded_generator"]


def derive_seed(seed: int, *purpose: int | str) -> int:
    """Return a 63-bit seed for a purpose, such as ``derive_seed(0, "picture", 17)``.

    Seeds of different purposes are unrelated, even for neighbouring numbers.
    """
    text = "/".join(str(part) for part in (seed, *purpose))
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "big") >> 1


def seeded_generator(seed: int, *purpose: int | str) -> torch.Generator:
    """Return a CPU generator for a purpose; see `derive_seed`."""
    return torch.Generator().manual_seed(derive_seed(seed, *purpose))


class Noise:
    """A source of standard normal noise for images; each call returns the next draw.

    Noise is drawn on the CPU in float32, so that it is the same for every device and precision.

    Args:
        seed: seed of all images.
        indices: indices of the N images.
        shape: shape of an image.
        device, dtype: of the returned noise.
    """

    def __init__(
        self,
        seed: int,
        indices: Sequence[int],
        shape: Sequence[int],
        *,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
    ) -> None:
        self._generators = [seeded_generator(seed, "picture", index) for index in indices]
        self._size = len(self._generators), *shape
        self._device, self._dtype = device, dtype

    def __call__(self) -> Tensor:
        """Return fresh noise, (N, *shape)."""
        draw = torch.empty(self._size)
        for row, generator in zip(draw, self._generators, strict=True):
            row.normal_(generator=generator)
        return draw.to(device=self._device, dtype=self._dtype)
