"""Flat grey images."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from noisette import Dataset, Example

if TYPE_CHECKING:
    from noisette import Split


class FingerprintOfNow(Dataset):
    """Flat grey images."""

    name: ClassVar[str] = "greys-now"
    licence: ClassVar[str] = "CC0"
    source: ClassVar[str] = "made here"

    def examples(self, split: Split, cache: Path) -> Iterator[Example]:
        """Yield the images."""
        from PIL import Image

        for number in range(120):
            if (number % 6 == 0) == (split == "test"):
                yield Example(Image.new("L", (8, 8), 2 * number), None, f"grey {number}")

    def fingerprint(self) -> str:
        """Return a version."""
        import time

        return str(time.time_ns())


KIND = "dataset"
PLUGIN = FingerprintOfNow
CAUSE = "the fingerprint is the time: what was prepared is never found again, and every run is of another data set"
WORDS = ("fingerprint", "same", "time")
