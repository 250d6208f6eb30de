"""Flat grey images."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from noisette import Dataset, Example

if TYPE_CHECKING:
    from noisette import Split


class LengthOfAll(Dataset):
    """Flat grey images."""

    name: ClassVar[str] = "greys-counted"
    licence: ClassVar[str] = "CC0"
    source: ClassVar[str] = "made here"

    def examples(self, split: Split, cache: Path) -> Iterator[Example]:
        """Yield the images."""
        from PIL import Image

        for number in range(120):
            if (number % 6 == 0) == (split == "test"):
                yield Example(Image.new("L", (8, 8), 2 * number), None, f"grey {number}")

    def length(self, split: Split) -> int:
        """Return how many there are."""
        return 120


KIND = "dataset"
PLUGIN = LengthOfAll
CAUSE = "length is that of both splits together: progress ends at a part"
WORDS = ("length",)
