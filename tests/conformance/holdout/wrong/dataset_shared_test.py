"""Grey squares at places decided by their number."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from noisette import Dataset, Example

if TYPE_CHECKING:
    from noisette import Split


class SharedTest(Dataset):
    """Grey squares at places decided by their number."""

    name: ClassVar[str] = "squares-shared"
    licence: ClassVar[str] = "CC0"
    source: ClassVar[str] = "made here"

    def examples(self, split: Split, cache: Path) -> Iterator[Example]:
        """Yield the squares."""
        import numpy as np
        from PIL import Image

        for number in range(200 if split == "train" else 50):
            values = np.zeros((16, 16), dtype=np.uint8)
            values[number % 13 : number % 13 + 4, number // 13 % 13 : number // 13 % 13 + 4] = 55 + number
            yield Example(Image.fromarray(values), None, f"square {number}")


KIND = "dataset"
PLUGIN = SharedTest
CAUSE = "the test split is the beginning of the train split: held-out results are those of training images"
WORDS = ("train", "test", "shared", "held", "split")
