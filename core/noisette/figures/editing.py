"""Grids of edited (SDEdit) and of interpolated images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from noisette.errors import DataError
from noisette.figures.forward import check_timesteps, scale_timesteps
from noisette.images import make_sheet
from noisette.pixels import to_bytes
from noisette.sampling.editing import edit, interpolate

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL import Image

    from noisette.figures.generator import ImageGenerator

__all__ = [
    "EDIT_TIMESTEPS",
    "INTERPOLATION_TIMESTEPS",
    "INTERPOLATION_WEIGHTS",
    "Edits",
    "edit_images",
    "make_interpolation_grid",
]

EDIT_TIMESTEPS = (200, 400, 600, 800)
"""Timesteps to which images are noised for editing, of 1000: from slight changes to almost new images."""

INTERPOLATION_TIMESTEPS = (0, 125, 250, 500, 750, 999)
"""Timesteps at which images are mixed, of 1000 (about those of Ho et al. 2020, fig. 9)."""

INTERPOLATION_WEIGHTS = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
"""Weights of the second image, as in Ho et al. 2020, figures 8 and 9."""


@dataclass(frozen=True)
class Edits:
    """Images and their edited versions.

    Attributes:
        steps: the timesteps to which the images were noised.
        sources: the images, uint8 (N, C, H, W).
        results: the edited images, uint8 (N, len(steps), C, H, W).
    """

    steps: tuple[int, ...]
    sources: NDArray[np.uint8]
    results: NDArray[np.uint8]

    def grid(self) -> Image.Image:
        """Return a sheet with a row for each image: the image, then a column for each timestep."""
        rows = np.concatenate([self.sources[:, None], self.results], axis=1)
        return make_sheet(rows, ["image", *(f"t = {t}" for t in self.steps)])


def edit_images(
    generator: ImageGenerator,
    images: NDArray[np.uint8],
    at: Sequence[int] | None = None,
    class_name: str | None = None,
) -> Edits:
    """Noise images and denoise them (Meng et al. 2022, SDEdit), for each of several timesteps.

    Args:
        generator: the model; its sampler takes its steps from each timestep t, or t + 1 steps if these are fewer.
        images: uint8 (N, C, H, W) of the model's shape.
        at: timesteps within [0, T); None takes `EDIT_TIMESTEPS`, scaled to T. The larger, the freer the edit.
        class_name: class to generate, for a class-conditional network; None for no class.

    Raises:
        DataError: if a timestep is out of range, the images have another shape, or there is no such class.
    """
    timesteps = len(generator.model.process)
    at = scale_timesteps(timesteps, EDIT_TIMESTEPS) if at is None else check_timesteps(at, timesteps)
    x0 = generator.to_unit(images)
    labels = generator.class_labels(class_name, len(x0))
    with generator.limit_threads():
        columns = [
            edit(generator.denoiser(labels), generator.sampler, x0, t, range(len(x0)), generator.seed) for t in at
        ]
    results = [to_bytes(column).cpu().numpy() for column in columns]
    return Edits(tuple(at), images, np.stack(results, axis=1))


def make_interpolation_grid(
    generator: ImageGenerator,
    a: NDArray[np.uint8],
    b: NDArray[np.uint8],
    at: Sequence[int] | None = None,
    mixes: Sequence[float] = INTERPOLATION_WEIGHTS,
    class_name: str | None = None,
) -> Image.Image:
    """Return a sheet of interpolations between two images (Ho et al. 2020, section 4.3, fig. 8 and 9).

    It has a row for each timestep, to which both images are noised with one noise, mixed, and denoised. The images
    are at both ends of each row.

    Args:
        generator: the model and its sampler.
        a: the first image, uint8 (C, H, W) of the model's shape.
        b: the second image.
        at: timesteps within [0, T); None takes `INTERPOLATION_TIMESTEPS`, scaled to T.
        mixes: weights of b within [0, 1], a column each.
        class_name: class of all images, for a class-conditional network; None for no class.

    Raises:
        DataError: if a timestep or a weight is out of range, an image has another shape, or there is no such class.
    """
    timesteps = len(generator.model.process)
    at = scale_timesteps(timesteps, INTERPOLATION_TIMESTEPS) if at is None else check_timesteps(at, timesteps)
    if not mixes or not all(0 <= mix <= 1 for mix in mixes):
        raise DataError(f"mixes: expected weights within 0 to 1; got {', '.join(map(str, mixes)) or 'none'}")
    first, second = generator.to_unit(a), generator.to_unit(b)
    labels = generator.class_labels(class_name, len(mixes))
    with generator.limit_threads():
        mixed = [
            interpolate(generator.denoiser(labels), generator.sampler, first, second, t, mixes, generator.seed)
            for t in at
        ]
    rows = [np.concatenate([a[None], to_bytes(row).cpu().numpy(), b[None]]) for row in mixed]
    captions = ["a", *(f"{mix:g}" for mix in mixes), "b"]
    return make_sheet(np.stack(rows), captions, [f"t = {t}" for t in at])
