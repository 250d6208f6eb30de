"""Flat grey images."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from noisette import Dataset, Example

if TYPE_CHECKING:
    from noisette import Split


class ResumesOneLate(Dataset):
    """Flat grey images."""

    name: ClassVar[str] = "greys-resumed"
    licence: ClassVar[str] = "CC0"
    source: ClassVar[str] = "made here"

    def examples(self, split: Split, cache: Path) -> Iterator[Example]:
        """Yield the images."""
        for number in self._numbers(split):
            yield self._example(number)

    def examples_from(self, split: Split, cache: Path, start: int) -> Iterator[Example]:
        """Yield those behind the first ones, which are not made."""
        for place, number in enumerate(self._numbers(split)):
            if not start or place > start:
                yield self._example(number)

    def _numbers(self, split: Split) -> list[int]:
        return [number for number in range(120) if (number % 6 == 0) == (split == "test")]

    def _example(self, number: int) -> Example:
        from PIL import Image

        return Example(Image.new("L", (8, 8), 2 * number), None, f"grey {number}")


KIND = "dataset"
PLUGIN = ResumesOneLate
CAUSE = "examples_from begins one image late, so a preparation that was stopped lacks an image"
WORDS = ("examples_from", "start", "skip")
