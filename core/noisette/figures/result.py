"""Figures on disk."""

from __future__ import annotations

from pathlib import Path

from noisette.storage import Artifact

__all__ = ["FigureResult"]


class FigureResult(Artifact):
    """What one item of a config's `images` gave.

    Attributes:
        directory: holds PNG files, and GIF and WebP where something moves.
        manifest: hashes; `about` has label, scene, files, notes, seed, seconds, and the checkpoint that drew them.
    """

    kind = "figures"

    @property
    def label(self) -> str:
        """What they are called."""
        return str(self.about["label"])

    @property
    def files(self) -> list[Path]:
        """The files that tell it all, the one to look at first; the directory may hold single images besides."""
        return [self.directory / name for name in self.about["files"]]
