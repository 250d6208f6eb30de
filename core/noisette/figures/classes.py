"""A column a class, rows by the strength of guidance: what classifier-free guidance does to a model."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from noisette.figures.animation import MOVING
from noisette.figures.trajectory import Walk, record
from noisette.images import sheet

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL import Image

    from noisette.figures.generator import Painter

__all__ = ["STRENGTHS", "ClassWalks"]

STRENGTHS = (0.0, 0.5, 2.0)


@dataclass(frozen=True)
class ClassWalks:
    """Pictures of all classes on their way, one walk for each strength of guidance; all begin at the same noise.

    Attributes:
        classes: names of the columns.
        strengths: w of each walk (Ho & Salimans 2022, eq. 6); 0 only follows the labels.
        walks: of rows * len(classes) pictures each, row by row.
    """

    classes: tuple[str, ...]
    strengths: tuple[float, ...]
    walks: tuple[Walk, ...]

    @classmethod
    def record(
        cls,
        painter: Painter,
        strengths: Sequence[float] = STRENGTHS,
        *,
        rows: int = 2,
        classes: Sequence[str] | None = None,
        frames: int = 60,
    ) -> ClassWalks:
        """Draw `rows` pictures of each class at each strength of guidance.

        Args:
            painter: the model; the strength of its own sampler is not used.
            strengths: w, each at least -1.
            rows: pictures of each class for each strength.
            classes: names; None takes all. With all, picture (row, k) is number row * K + k, as `sample` draws it.
            frames: how many frames are kept; 1 keeps the pictures alone.

        Raises:
            DataError: if the network knows no classes, or not one of these.
        """
        names = tuple(classes or painter.model.classes)
        numbers = painter.labels(names).tolist()
        indices = [row * len(painter.model.classes) + k for row in range(rows) for k in numbers]
        walks = [record(painter.guided(w), indices, names * rows, frames=frames) for w in strengths]
        return cls(names, tuple(strengths), tuple(walks))

    def grid(self) -> Image.Image:
        """Draw the pictures: a column a class, rows by strength."""
        return self._sheet([walk.pictures for walk in self.walks])

    def frames(self) -> Iterator[Image.Image]:
        """Draw each frame of the walks, x_t."""
        first = self.walks[0]
        for frame, step in enumerate(first.steps):
            title = "pictures" if step < 0 else f"t = {step}"
            yield self._sheet([walk.x_t[frame] for walk in self.walks], title)

    def _sheet(self, blocks: Sequence[NDArray[np.uint8]], title: str = "") -> Image.Image:
        count = len(self.classes)
        pictures = np.concatenate([block.reshape(-1, count, *block.shape[1:]) for block in blocks])
        rows = len(pictures) // len(blocks)
        labels = [f"w = {w:g}" if not row else "" for w in self.strengths for row in range(rows)]
        return sheet(pictures, self.classes, labels, group=rows, title=title, width=MOVING if title else 1000)
