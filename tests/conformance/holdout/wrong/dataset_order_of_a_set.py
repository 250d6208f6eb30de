"""Flat grey images, one class for each grey."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from noisette import Dataset, Example

if TYPE_CHECKING:
    from noisette import Split


class OrderOfASet(Dataset):
    """Flat grey images, one class for each grey."""

    name: ClassVar[str] = "greys-by-name"
    licence: ClassVar[str] = "CC0"
    source: ClassVar[str] = "made here"

    def examples(self, split: Split, cache: Path) -> Iterator[Example]:
        """Yield ten images of each grey."""
        from PIL import Image

        names = self.classes()
        for label, name in enumerate(names):
            level = {"black": 0, "dark": 60, "middle": 120, "light": 180, "pale": 220, "white": 245}[name]
            for number in range(0, 8) if split == "train" else range(8, 10):
                yield Example(Image.new("L", (8, 8), level + number), label, f"{name} {number}")

    def classes(self) -> tuple[str, ...]:
        """Return the names."""
        return tuple({"black", "dark", "middle", "light", "pale", "white"})


KIND = "dataset"
PLUGIN = OrderOfASet
CAUSE = (
    "names are kept in a set of strings: their order, and with it that of the images and classes, is "
    "another in every process"
)
WORDS = ("order", "process", "hash", "same")
