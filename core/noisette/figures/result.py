"""Figures on disk: what a config lists, made and found again by its manifest."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from noisette.storage import Manifest, is_complete, read_manifest

__all__ = ["FigureResult"]


@dataclass(frozen=True)
class FigureResult:
    """What one item of a config's `images` gave.

    Attributes:
        directory: holds PNG files, and GIF and WebP where something moves.
        manifest: hashes; `about` has label, scene, files, notes, seed, seconds, and the checkpoint that drew them.
    """

    directory: Path
    manifest: Manifest

    @classmethod
    def finished(cls, directory: Path) -> FigureResult | None:
        """Return the images of this directory if they are complete; looks at sizes only."""
        if not is_complete(directory, "figures"):
            return None
        return cls(directory, read_manifest(directory, "figures"))

    @property
    def about(self) -> dict[str, Any]:
        """What they are: JSON values."""
        return self.manifest.about

    @property
    def label(self) -> str:
        """What they are called."""
        return str(self.about["label"])

    @property
    def files(self) -> list[Path]:
        """The files that tell it all, the one to look at first; the directory may hold single images besides."""
        return [self.directory / name for name in self.about["files"]]
