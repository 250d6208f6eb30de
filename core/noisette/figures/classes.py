"""A column a class, rows by guidance scale: what classifier-free guidance does to a model."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from noisette.figures.animation import ANIMATION_WIDTH
from noisette.figures.trajectory import Trajectory, record_trajectory
from noisette.images import make_sheet

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL import Image

    from noisette.figures.generator import ImageGenerator

__all__ = ["GUIDANCE_SCALES", "ClassTrajectories"]

GUIDANCE_SCALES = (1.0, 1.5, 3.0)


@dataclass(frozen=True)
class ClassTrajectories:
    """Images of all classes on their way, one trajectory for each guidance scale; all begin at the same noise.

    Attributes:
        classes: names of the columns.
        scales: guidance scale of each trajectory (Ho & Salimans 2022); 1 is off.
        trajectories: of rows * len(classes) images each, row by row.
    """

    classes: tuple[str, ...]
    scales: tuple[float, ...]
    trajectories: tuple[Trajectory, ...]

    @classmethod
    def record(
        cls,
        generator: ImageGenerator,
        scales: Sequence[float] = GUIDANCE_SCALES,
        *,
        rows: int = 2,
        classes: Sequence[str] | None = None,
        frames: int = 60,
    ) -> ClassTrajectories:
        """Draw `rows` images of each class at each guidance scale.

        Args:
            generator: the model; the guidance scale of its own sampler is not used.
            scales: guidance scales, each at least 0.
            rows: images of each class for each scale.
            classes: names; None takes all. With all, image (row, k) is number row * K + k, as `sample` draws it.
            frames: how many frames are kept; 1 keeps the images alone.

        Raises:
            DataError: if the network knows no classes, or not one of these.
        """
        names = tuple(classes or generator.model.classes)
        numbers = generator.labels(names).tolist()
        indices = [row * len(generator.model.classes) + k for row in range(rows) for k in numbers]
        trajectories = [
            record_trajectory(generator.with_guidance(scale), indices, names * rows, frames=frames)
            for scale in scales
        ]
        return cls(names, tuple(scales), tuple(trajectories))

    def grid(self) -> Image.Image:
        """Draw the images: a column a class, rows by guidance scale."""
        return self._sheet([trajectory.images for trajectory in self.trajectories])

    def frames(self) -> Iterator[Image.Image]:
        """Draw each frame of the walks, x_t."""
        first = self.trajectories[0]
        for frame, step in enumerate(first.steps):
            title = "images" if step < 0 else f"t = {step}"
            yield self._sheet([trajectory.x_t[frame] for trajectory in self.trajectories], title)

    def _sheet(self, blocks: Sequence[NDArray[np.uint8]], title: str = "") -> Image.Image:
        count = len(self.classes)
        images = np.concatenate([block.reshape(-1, count, *block.shape[1:]) for block in blocks])
        rows = len(images) // len(blocks)
        labels = [f"scale {scale:g}" if not row else "" for scale in self.scales for row in range(rows)]
        return make_sheet(
            images, self.classes, labels, group=rows, title=title, width=ANIMATION_WIDTH if title else 1000
        )
