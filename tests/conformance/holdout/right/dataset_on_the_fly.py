"""Plane waves made when they are read: each from its own seed, the splits from other seeds, grey and RGB mixed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from noisette import Dataset, Example

if TYPE_CHECKING:
    from noisette import Split


class OnTheFly(Dataset):
    """Plane waves made when they are read: each from its own seed, the splits from other seeds, grey and RGB mixed.

    Sizes differ from image to image. It would want to declare that it takes no room in the cache.
    """

    name: ClassVar[str] = "waves"
    licence: ClassVar[str] = "CC0"
    source: ClassVar[str] = "made when they are read"

    count: int = Field(64, ge=4, description="images to train on; a quarter as many are held out")

    def examples(self, split: Split, cache: Path) -> Iterator[Example]:
        """Yield the waves."""
        return self.examples_from(split, cache, 0)

    def examples_from(self, split: Split, cache: Path, start: int) -> Iterator[Example]:
        """Yield the waves from the one of this number on, the others unmade."""
        for number in range(start, self.length(split)):
            yield self._wave(split, number)

    def length(self, split: Split) -> int:
        """Return how many there are."""
        return self.count if split == "train" else self.count // 4

    def classes(self) -> tuple[str, ...]:
        """Return the names of the two directions."""
        return ("lying", "standing")

    def _wave(self, split: Split, number: int) -> Example:
        import numpy as np
        from PIL import Image

        from noisette.diffusion import derive_seed

        draw = np.random.default_rng(derive_seed(0, "waves", split, number))
        height, width = draw.integers(12, 21, 2)
        places = np.mgrid[:height, :width][number % 2] * draw.uniform(0.2, 1.5) + draw.uniform(0, 6.3)
        values = np.rint(127.5 + 127.5 * np.sin(places)).astype(np.uint8)
        image = Image.fromarray(values)
        return Example(image.convert("RGB") if number % 3 == 0 else image, number % 2, f"{split} {number}")


KIND = "dataset"
PLUGIN = OnTheFly
