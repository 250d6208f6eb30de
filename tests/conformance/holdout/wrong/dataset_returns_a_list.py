"""400 drawn shapes, grey, 16x16: a tenth held out."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from noisette import Dataset, Example

_COUNT = 400


class Listing(Dataset):
    """400 drawn shapes, grey, 16x16: a tenth held out."""

    name: ClassVar[str] = "shapes-listing"
    licence: ClassVar[str] = "CC0 1.0"
    source: ClassVar[str] = "drawn by this plugin"

    size: int = Field(16, ge=8, le=64, description="height and width in pixels")

    def examples(self, split, cache):
        """Yield the images; every tenth is held out."""
        return [self._example(index) for index in self._indices(split)]

    def examples_from(self, split, cache, start):
        """Yield the images without the first ones, which are not drawn."""
        for index in self._indices(split)[start:]:
            yield self._example(index)

    def length(self, split):
        """Return the number of images."""
        return len(self._indices(split))

    def classes(self):
        """Return the names of the shapes."""
        return ("disc", "ring", "square", "bar")

    def fingerprint(self):
        """Return the version of the drawing."""
        return "1"

    def _indices(self, split):
        return [index for index in range(_COUNT) if (index % 10 == 9) == (split == "test")]

    def _example(self, index):
        import numpy as np
        from PIL import Image

        generator = np.random.default_rng((17, index))
        label = (index + index // 10) % 4
        y, x = np.mgrid[: self.size, : self.size] / self.size - 0.5
        cy, cx = generator.uniform(-0.2, 0.2, 2)
        radius = generator.uniform(0.12, 0.28)
        far = np.hypot(y - cy, x - cx)
        wide = np.maximum(abs(y - cy), abs(x - cx))
        inside = (far < radius, abs(far - radius) < 0.07, wide < radius, abs(y - cy) < radius / 3)[label]
        pixels = np.where(inside, generator.integers(128, 255), generator.integers(0, 64)).astype(np.uint8)
        return Example(Image.fromarray(pixels), label, f"shape {index}")


PLUGIN = Listing
CAUSE = "examples returns a list; the contract promises an iterator, on which next() works."
WORDS = ("iterator", "list", "next", "yield")
