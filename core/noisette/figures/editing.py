"""Grids of pictures that began at other pictures: editing (SDEdit) and interpolation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from noisette.errors import DataError
from noisette.figures.forward import checked_steps, shown_steps
from noisette.images import sheet
from noisette.pixels import to_bytes
from noisette.sampling.editing import edit, interpolate

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL import Image

    from noisette.figures.generator import Painter

__all__ = ["EDITED_AT", "MIXED_AT", "MIXES", "Edits", "edited", "interpolation_grid"]

EDITED_AT = (200, 400, 600, 800)
"""Steps that pictures are noised to, of 1000: a touch, a look-alike, a relative, nearly a new one."""

MIXED_AT = (0, 125, 250, 500, 750, 999)
"""Steps at which pictures are mixed, of 1000 (about those of Ho et al. 2020, fig. 9)."""

MIXES = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
"""Shares of the second picture, as in Ho et al. 2020, figures 8 and 9."""


@dataclass(frozen=True)
class Edits:
    """Pictures and what a model made of them.

    Attributes:
        steps: the steps that they were noised to.
        sources: the pictures, uint8 (N, C, H, W).
        results: what became of each at each step, uint8 (N, len(steps), C, H, W).
    """

    steps: tuple[int, ...]
    sources: NDArray[np.uint8]
    results: NDArray[np.uint8]

    def grid(self) -> Image.Image:
        """Draw a row for each picture, itself first, then a column a step."""
        rows = np.concatenate([self.sources[:, None], self.results], axis=1)
        return sheet(rows, ["picture", *(f"t = {t}" for t in self.steps)])


def edited(
    painter: Painter, pictures: NDArray[np.uint8], at: Sequence[int] | None = None, to: str | None = None
) -> Edits:
    """Noise pictures to a step and walk back (Meng et al. 2022, SDEdit), for each of several steps.

    Args:
        painter: the model; its sampler walks from each step in its number of steps, or fewer where it starts low.
        pictures: uint8 (N, C, H, W) of the model's shape.
        at: steps within [0, T); None takes `EDITED_AT`, scaled to T. The larger, the freer.
        to: class that the pictures become, for a network that knows classes; None for no class.

    Raises:
        DataError: if a step is not one of the process, the pictures have another shape, or there is no such class.
    """
    timesteps = len(painter.model.tables)
    at = shown_steps(timesteps, EDITED_AT) if at is None else checked_steps(at, timesteps)
    x0 = painter.unit(pictures)
    labels = painter.one_class(to, len(x0))
    with painter.computing():
        columns = [edit(painter.denoiser(labels), painter.sampler, x0, t, range(len(x0)), painter.seed) for t in at]
    results = [to_bytes(column).cpu().numpy() for column in columns]
    return Edits(tuple(at), pictures, np.stack(results, axis=1))


def interpolation_grid(
    painter: Painter,
    a: NDArray[np.uint8],
    b: NDArray[np.uint8],
    at: Sequence[int] | None = None,
    mixes: Sequence[float] = MIXES,
    to: str | None = None,
) -> Image.Image:
    """Draw pictures between two (Ho et al. 2020, section 4.3, fig. 8 and 9): a row a step, sources at both ends.

    Both are noised to the row's step alike, mixed, and walked back; all share one noise.

    Args:
        painter: the model and its sampler.
        a: one picture, uint8 (C, H, W) of the model's shape; b: the other.
        at: steps within [0, T); None takes `MIXED_AT`, scaled to T.
        mixes: shares of b within [0, 1], a column each.
        to: class that all pictures are told to be, for a network that knows classes; None for no class.

    Raises:
        DataError: if a step or a share is out of its range, a picture has another shape, or there is no such class.
    """
    timesteps = len(painter.model.tables)
    at = shown_steps(timesteps, MIXED_AT) if at is None else checked_steps(at, timesteps)
    if not mixes or not all(0 <= mix <= 1 for mix in mixes):
        raise DataError(f"mixes: expected shares within 0 to 1; got {', '.join(map(str, mixes)) or 'none'}")
    one, other = painter.unit(a), painter.unit(b)
    labels = painter.one_class(to, len(mixes))
    with painter.computing():
        mixed = [
            interpolate(painter.denoiser(labels), painter.sampler, one, other, t, mixes, painter.seed) for t in at
        ]
    rows = [np.concatenate([a[None], to_bytes(row).cpu().numpy(), b[None]]) for row in mixed]
    captions = ["a", *(f"{mix:g}" for mix in mixes), "b"]
    return sheet(np.stack(rows), captions, [f"t = {t}" for t in at])
