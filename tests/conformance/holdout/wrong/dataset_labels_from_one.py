"""Flat grey images of four classes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from noisette import Dataset, Example

if TYPE_CHECKING:
    from noisette import Split


class LabelsFromOne(Dataset):
    """Flat grey images of four classes."""

    name: ClassVar[str] = "greys-from-one"
    licence: ClassVar[str] = "CC0"
    source: ClassVar[str] = "made here"

    def examples(self, split: Split, cache: Path) -> Iterator[Example]:
        """Yield the images."""
        from PIL import Image

        for number in range(60):
            if (number % 5 == 0) == (split == "test"):
                yield Example(Image.new("L", (8, 8), 4 * number), number // 15 + 1, f"grey {number}")

    def classes(self) -> tuple[str, ...]:
        """Return the names."""
        return ("black", "dark", "light", "white")


KIND = "dataset"
PLUGIN = LabelsFromOne
CAUSE = (
    "labels count from 1, as in the files of the source, so that the last has no class and would be taken for none"
)
WORDS = ("label", "classes", "range")
