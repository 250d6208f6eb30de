"""Lines, drawn on one sheet."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from noisette import Dataset, Example

if TYPE_CHECKING:
    from noisette import Split


class OneImage(Dataset):
    """Lines, drawn on one sheet."""

    name: ClassVar[str] = "lines-one-sheet"
    licence: ClassVar[str] = "CC0"
    source: ClassVar[str] = "made here"

    def examples(self, split: Split, cache: Path) -> Iterator[Example]:
        """Yield the lines."""
        from PIL import Image, ImageDraw

        sheet = Image.new("RGB", (16, 16))
        draw = ImageDraw.Draw(sheet)
        for number in range(120):
            draw.rectangle((0, 0, 16, 16), fill=(0, 0, 0))
            draw.line((number % 16, 0, number // 16, 15), fill=(255, 2 * number, 255 - number))
            if (number % 6 == 0) == (split == "test"):
                yield Example(sheet, None, f"line {number}")


KIND = "dataset"
PLUGIN = OneImage
CAUSE = "all examples share one Pillow image that is painted over: whoever keeps two of them has the later twice"
WORDS = ("same image", "shared", "object", "overwrit", "differ")
