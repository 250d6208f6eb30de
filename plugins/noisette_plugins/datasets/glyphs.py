"""Colour glyphs of the emoji font that Debian packages."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field, PositiveInt

from noisette import DataError, Dataset, Example

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageFont import FreeTypeFont

    from noisette import Split

__all__ = ["Glyphs"]

_FILE = "NotoColorEmoji.ttf"
_KNOWN = "Noto Color Emoji"
_FOLDERS = (
    Path("/usr/share/fonts/truetype/noto"),
    Path("/usr/share/fonts/noto"),
    Path("/usr/share/fonts/google-noto-emoji"),
    Path("/usr/local/share/fonts"),
)
_STRIKE = 109
"""Nominal size of the font's only set of bitmaps in FreeType."""

_CHARACTERS = range(0x20, 0x30000)
"""The Unicode planes with printable characters."""

_EVERY = 10


class Glyphs(Dataset):
    """About 1,400 emoji of Debian's font, RGB on white, 32x32: a tenth held out; no download.

    Each image is a single character; sequences (flags, skin colours, professions) are left out, and of characters
    that look the same only the first is included. The order is that of Unicode.
    """

    name: ClassVar[str] = "glyphs"
    licence: ClassVar[str] = "SIL Open Font License 1.1"
    source: ClassVar[str] = "Google, Noto Color Emoji; from the Debian package fonts-noto-color-emoji"

    path: Path | None = Field(
        None, description=f"{_FILE}, or a folder that has it; null looks where systems put it"
    )
    size: PositiveInt = Field(32, description="height and width in pixels, of 136 that the font has")

    def examples(self, split: Split, cache: Path) -> Iterator[Example]:
        """Yield the glyphs of a split. Every tenth glyph is held out."""
        from hashlib import blake2b

        from PIL.Image import Resampling

        font, seen = self._font(), set[bytes]()
        for code in _CHARACTERS:
            glyph = _render_glyph(chr(code), font)
            if glyph is None or (content := blake2b(glyph.tobytes()).digest()) in seen:
                continue
            seen.add(content)
            held_out = len(seen) % _EVERY == 0
            if held_out == (split == "test"):
                image = glyph.resize((self.size, self.size), Resampling.LANCZOS)
                yield Example(image, source=f"U+{code:04X}")

    def fingerprint(self) -> str:
        """Return a hash of the font, because its versions differ in glyphs."""
        from hashlib import blake2b

        found = self._find_font()
        return "" if found is None else blake2b(found.read_bytes(), digest_size=16).hexdigest()

    def _font(self) -> FreeTypeFont:
        from PIL import ImageFont

        found = self._find_font()
        if found is None:
            searched = " or ".join(str(folder) for folder in self._folders())
            raise DataError(
                f"{self.name}: expected {_FILE} in {searched}; there is none: install the Debian package "
                "fonts-noto-color-emoji, or set dataset.path to the font"
            )
        try:
            font = ImageFont.truetype(found, _STRIKE, layout_engine=ImageFont.Layout.BASIC)
            reason = "" if _KNOWN in (font.getname()[0] or "") else f"this one is {font.getname()[0]}"
        except OSError as error:
            reason = f"it cannot be read: {error}"
        if reason:
            raise DataError(
                f"{found}: expected a font with colour bitmaps of size {_STRIKE}, {_KNOWN}, as in the Debian "
                f"package fonts-noto-color-emoji; {reason}"
            )
        return font

    def _find_font(self) -> Path | None:
        folders = self._folders()
        return next((path for folder in folders for path in (folder, folder / _FILE) if path.is_file()), None)

    def _folders(self) -> tuple[Path, ...]:
        return _FOLDERS if self.path is None else (self.path.expanduser(),)


def _render_glyph(character: str, font: FreeTypeFont) -> Image | None:
    """Return the glyph of a character on a white square, or None if the font has none."""
    from PIL import Image, ImageDraw

    left, top, right, bottom = (int(edge) for edge in font.getbbox(character))
    width, height = right - left, bottom - top
    if width <= 0 or height <= 0:
        return None
    side = max(width, height)
    square = Image.new("RGB", (side, side), "white")
    corner = ((side - width) // 2 - left, (side - height) // 2 - top)
    ImageDraw.Draw(square).text(corner, character, font=font, embedded_color=True)
    return square
