"""Figures on disk."""

from __future__ import annotations

from pathlib import Path

from noisette.storage import Artifact

__all__ = ["FigureResult"]


class FigureResult(Artifact):
    """A finished figure of a config.

    Attributes:
        directory: holds PNG files, and GIF and WebP files of animations.
        manifest: hashes; `about` has label, figure, files, notes, seed, seconds, and the checkpoint if any.
    """

    kind = "figures"

    @property
    def label(self) -> str:
        """The label of the figure."""
        return str(self.about["label"])

    @property
    def files(self) -> list[Path]:
        """The files of the whole figure, the most important first; single images are not among them."""
        return [self.directory / name for name in self.about["files"]]
