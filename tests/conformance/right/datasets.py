"""Striped images that are made when asked for."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field, PositiveInt

from noisette import Dataset, Example, Split

if TYPE_CHECKING:
    from PIL.Image import Image


class Stripes(Dataset):
    """Upright and level stripes under grain."""

    name: ClassVar[str] = "stripes"
    licence: ClassVar[str] = "CC0-1.0"
    source: ClassVar[str] = "made by this plugin"

    count: PositiveInt = Field(60, description="images of a split")

    def examples(self, split: Split, cache: Path) -> Iterator[Example]:
        for index in range(self.count):
            seed = index + (0 if split == "train" else 10_000)
            yield Example(self.image(seed), index % 2, f"{split} {index}")

    def classes(self) -> tuple[str, ...]:
        return ("upright", "level")

    def image(self, seed: int) -> Image:
        import numpy as np
        import PIL.Image

        stripes = np.indices((8, 8))[seed % 2] % 4 // 2 * 150
        grain = np.random.default_rng(seed).integers(0, 80, (8, 8))
        return PIL.Image.fromarray((stripes + grain).astype(np.uint8))
