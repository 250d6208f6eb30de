"""Discs with soft edges."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from noisette import Dataset, Example

if TYPE_CHECKING:
    from noisette import Split


class WithAlpha(Dataset):
    """Discs with soft edges."""

    name: ClassVar[str] = "discs-alpha"
    licence: ClassVar[str] = "CC0"
    source: ClassVar[str] = "made here"

    def examples(self, split: Split, cache: Path) -> Iterator[Example]:
        """Yield the discs."""
        from PIL import Image, ImageDraw

        for number in range(60):
            if (number % 6 == 0) == (split == "test"):
                image = Image.new("RGBA", (16, 16), (0, 0, 0, 0))
                box = (2, 2, 8 + number % 6, 8 + number // 10)
                ImageDraw.Draw(image).ellipse(box, fill=(4 * number, 80, 90, 200))
                yield Example(image, None, f"disc {number}")


KIND = "dataset"
PLUGIN = WithAlpha
CAUSE = "images are RGBA where L or RGB is promised: transparency is lost or has a fourth channel"
WORDS = ("mode", "RGBA", "RGB")
