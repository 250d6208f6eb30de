"""A walk from noise to pictures, recorded: x_t, and the x_0 that the denoiser sees in it, step by step.

What is seen from afar is coarse and becomes fine: "progressive generation" (Ho et al. 2020, section 4.3, fig. 6).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import ceil
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from noisette.diffusion.denoiser import Denoiser
from noisette.diffusion.noise import Noise
from noisette.diffusion.prediction import Prediction
from noisette.diffusion.spacing import CLEAN
from noisette.figures.animation import MOVING, evenly
from noisette.images import sheet
from noisette.pixels import to_bytes
from noisette.sampling.loop import finished_walk, weights_cast_once

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL import Image

    from noisette.contracts import Sampler
    from noisette.figures.generator import Painter

__all__ = ["Walk", "record", "recorded"]

_LABEL = 60
"""Letters of a sampler's label in a title: one of listed steps has thousands."""


@dataclass(frozen=True)
class Walk:
    """Frames of a sampler's walk.

    Attributes:
        label: the sampler's.
        steps: the step t of each frame, descending; -1 for the last, the pictures.
        x_t: the noisy pictures, uint8 (F, N, C, H, W), F frames of N pictures.
        x0: the pictures that the denoiser saw in them, like x_t; at the last frame the same.
    """

    label: str
    steps: tuple[int, ...]
    x_t: NDArray[np.uint8]
    x0: NDArray[np.uint8]

    @property
    def pictures(self) -> NDArray[np.uint8]:
        """The pictures that the walk ends in, uint8 (N, C, H, W)."""
        pictures: NDArray[np.uint8] = self.x_t[-1]
        return pictures

    def strip(self, columns: int = 10, at: Sequence[int] | None = None) -> Image.Image:
        """Draw some frames: for each picture a row of x_t and a row of x0.

        Args:
            columns: how many frames at most, evenly spread.
            at: steps instead; of each the nearest frame, and the pictures last.
        """
        frames = evenly(len(self.steps), columns) if at is None else _nearest(self.steps[:-1], at)
        frames = frames if at is None else [*frames, len(self.steps) - 1]
        both = np.stack([self.x_t[frames], self.x0[frames]], axis=2)  # (F, N, 2, C, H, W)
        rows = both.transpose(1, 2, 0, 3, 4, 5).reshape(-1, len(frames), *self.x_t.shape[2:])
        count = self.x_t.shape[1]
        return sheet(rows, [_caption(self.steps[frame]) for frame in frames], ["x_t", "x0"] * count, group=2)

    def frames(self, columns: int = 10) -> Iterator[Image.Image]:
        """Draw each frame: rows of x_t, each above the x0 that was seen in it."""
        label = self.label if len(self.label) <= _LABEL else f"{self.label[: _LABEL - 2]}.."
        titles = [f"{label}, {_caption(step)}" for step in self.steps]
        for title, x_t, x0 in zip(titles, self.x_t, self.x0, strict=True):
            rows = [row for pair in zip(_rows(x_t, columns), _rows(x0, columns), strict=True) for row in pair]
            labels = ["x_t", "x0"] * (len(rows) // 2)
            yield sheet(np.stack(rows), (), labels, group=2, title=title, titles=titles, width=MOVING)


def record(
    painter: Painter,
    indices: Sequence[int],
    classes: Sequence[str] | None = None,
    *,
    frames: int = 60,
    at: Sequence[int] = (),
) -> Walk:
    """Record how a trained model draws pictures; they are those that `sample` draws for these numbers.

    Args:
        painter: the model, and how it draws.
        indices: numbers of the pictures.
        classes: their classes, one each; None gives picture i the class i mod K, where the network knows K.
        frames: at most so many are kept, evenly spread, the first and the last among them.
        at: steps of which the nearest frames are kept besides.

    Raises:
        NotFiniteError, PluginError: as drawing does; DataError: if there is no such class.
    """
    model = painter.model
    labels = painter.in_turn(indices) if classes is None else painter.labels(classes)
    denoise = painter.denoiser(labels)
    with painter.computing():
        return recorded(
            denoise, painter.sampler, model.shape, indices, painter.seed, model.machine.device, frames=frames, at=at
        )


@torch.no_grad()
def recorded(
    denoise: Denoiser,
    sampler: Sampler,
    shape: Sequence[int],
    indices: Sequence[int],
    seed: int,
    device: torch.device | str = "cpu",
    *,
    frames: int = 60,
    at: Sequence[int] = (),
) -> Walk:
    """Draw the pictures of the given numbers as `noisette.sampling.loop.draw` does, and keep some frames.

    Only those frames are in memory, however many steps the walk has. Where a sampler calls its denoiser several
    times a step, the first call is what it saw; where it does not call it, what it saw before stands.
    """
    noise = Noise(seed, indices, shape, device=device)
    start = noise()
    watched = _Watched(denoise)
    timesteps = denoise.schedule.timesteps(sampler.steps, sampler.spacing)
    last = len(timesteps) - 1
    wanted = {*evenly(last + 1, frames), *_nearest(timesteps[:-1], at)} - {last}
    steps, noisy, seen = [], [], []
    x, before = None, _bytes(start)
    with weights_cast_once(start):
        for number, x in enumerate(sampler.trajectory(watched, start, noise)):
            if number in wanted:
                steps.append(watched.t)
                noisy.append(before)
                seen.append(_bytes(watched.x0))
            watched.fresh = True
            if number + 1 in wanted:
                before = _bytes(x)
    pictures = _bytes(finished_walk(x, start, sampler))
    return Walk(sampler.label, (*steps, CLEAN), np.stack([*noisy, pictures]), np.stack([*seen, pictures]))


class _Watched(Denoiser):
    """Remembers the first call since `fresh` was set."""

    def __init__(self, denoise: Denoiser) -> None:
        self.denoise, self.schedule = denoise, denoise.schedule
        self.fresh, self.t, self.x0 = True, CLEAN, torch.empty(0)

    def __call__(self, x_t: Tensor, t: int) -> Prediction:
        prediction = self.denoise(x_t, t)
        if self.fresh:
            self.fresh, self.t, self.x0 = False, t, prediction.x0
        return prediction


def _nearest(steps: Sequence[int], at: Sequence[int]) -> list[int]:
    """Return the places in a walk that are nearest to some steps, each once, in the walk's order."""
    return sorted({min(range(len(steps)), key=lambda place: abs(steps[place] - t)) for t in at})


def _bytes(pictures: Tensor) -> NDArray[np.uint8]:
    return to_bytes(pictures).cpu().numpy()


def _rows(pictures: NDArray[np.uint8], columns: int) -> list[NDArray[np.uint8]]:
    """Return rows of equal length, the last one filled up with white."""
    columns = min(columns, len(pictures))
    missing = ceil(len(pictures) / columns) * columns - len(pictures)
    white = np.full((missing, *pictures.shape[1:]), 255, dtype=np.uint8)
    return np.split(np.concatenate([pictures, white]), (len(pictures) + missing) // columns)


def _caption(t: int) -> str:
    return "picture" if t == CLEAN else f"t = {t}"
