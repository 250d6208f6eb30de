"""Grey squares at random places."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from noisette import Dataset, Example

if TYPE_CHECKING:
    from noisette import Split


class GlobalRandom(Dataset):
    """Grey squares at random places."""

    name: ClassVar[str] = "squares-random"
    licence: ClassVar[str] = "CC0"
    source: ClassVar[str] = "made here"

    def examples(self, split: Split, cache: Path) -> Iterator[Example]:
        """Yield the squares."""
        import random

        import numpy as np
        from PIL import Image

        for number in range(100 if split == "train" else 30):
            values = np.zeros((16, 16), dtype=np.uint8)
            top, left = random.randrange(12), random.randrange(12)
            values[top : top + 4, left : left + 4] = random.randrange(100, 256)
            yield Example(Image.fromarray(values), None, f"{split} {number}")


KIND = "dataset"
PLUGIN = GlobalRandom
CAUSE = "images are drawn from Python's global random: other ones at every reading"
WORDS = ("same", "order", "random", "determin", "twice")
