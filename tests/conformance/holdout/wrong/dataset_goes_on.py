"""Grey noise from a seed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field, PrivateAttr

from noisette import Dataset, Example

if TYPE_CHECKING:
    from noisette import Split


class GoesOn(Dataset):
    """Grey noise from a seed."""

    name: ClassVar[str] = "noise-goes-on"
    licence: ClassVar[str] = "CC0"
    source: ClassVar[str] = "made here"

    seed: int = Field(0, ge=0, description="seed of the images")

    _generators: dict[str, Any] = PrivateAttr(default_factory=dict)

    def examples(self, split: Split, cache: Path) -> Iterator[Example]:
        """Yield the noise."""
        import numpy as np
        from PIL import Image

        seeds = {"train": 2 * self.seed, "test": 2 * self.seed + 1}
        generator = self._generators.setdefault(split, np.random.default_rng(seeds[split]))
        for number in range(60):
            values = generator.integers(0, 256, (8, 8), dtype=np.uint8)
            yield Example(Image.fromarray(values), None, f"{split} {number}")


KIND = "dataset"
PLUGIN = GoesOn
CAUSE = "the generator of the images lives in the data set, so a second reading goes on where the first ended"
WORDS = ("second", "same", "order", "twice", "state")
