"""Recorded trajectories from noise to images: x_t and the predicted x_0, step by step.

The predictions show "progressive generation", from coarse to fine (Ho et al. 2020, section 4.3, fig. 6).
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
from noisette.images import make_sheet
from noisette.pixels import to_bytes
from noisette.sampling.loop import autocast_weight_cache, check_final_state

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL import Image

    from noisette.contracts import Sampler
    from noisette.figures.generator import ImageGenerator

__all__ = [
    "GUIDANCE_SCALES",
    "ClassTrajectories",
    "Trajectory",
    "evenly_spaced",
    "record_sampler_trajectory",
    "record_trajectory",
]

GUIDANCE_SCALES = (1.0, 1.5, 3.0)

_FRAME_WIDTH = 720
"""Approximate width of animation frames in pixels: noise compresses badly."""

_LABEL = 60
"""Characters of a sampler's label in a title; that of explicit timesteps is long."""


@dataclass(frozen=True)
class Trajectory:
    """Frames of a trajectory of N images.

    Attributes:
        label: label of the sampler.
        steps: timestep of each frame, descending; -1 for the last frame, the images.
        x_t: the noisy images, uint8 (F, N, C, H, W), for F frames.
        x0: the predicted images, like x_t; equal to x_t in the last frame.
    """

    label: str
    steps: tuple[int, ...]
    x_t: NDArray[np.uint8]
    x0: NDArray[np.uint8]

    @property
    def images(self) -> NDArray[np.uint8]:
        """The generated images, uint8 (N, C, H, W)."""
        images: NDArray[np.uint8] = self.x_t[-1]
        return images

    def strip(self, columns: int = 10, at: Sequence[int] | None = None) -> Image.Image:
        """Return a sheet of some frames, with a row of x_t and a row of x0 for each image.

        Args:
            columns: largest number of frames, which are evenly spaced.
            at: timesteps instead; the nearest frame to each is shown, and the images last.
        """
        frames = evenly_spaced(len(self.steps), columns) if at is None else _nearest(self.steps[:-1], at)
        frames = frames if at is None else [*frames, len(self.steps) - 1]
        both = np.stack([self.x_t[frames], self.x0[frames]], axis=2)  # (F, N, 2, C, H, W)
        rows = both.transpose(1, 2, 0, 3, 4, 5).reshape(-1, len(frames), *self.x_t.shape[2:])
        count = self.x_t.shape[1]
        return make_sheet(rows, [_caption(self.steps[frame]) for frame in frames], ["x_t", "x0"] * count, group=2)

    def frames(self, columns: int = 10) -> Iterator[Image.Image]:
        """Yield a sheet for each frame: rows of x_t, each above its predicted x0."""
        label = self.label if len(self.label) <= _LABEL else f"{self.label[: _LABEL - 2]}.."
        titles = [f"{label}, {_caption(step)}" for step in self.steps]
        for title, x_t, x0 in zip(titles, self.x_t, self.x0, strict=True):
            rows = [row for pair in zip(_rows(x_t, columns), _rows(x0, columns), strict=True) for row in pair]
            labels = ["x_t", "x0"] * (len(rows) // 2)
            yield make_sheet(np.stack(rows), (), labels, group=2, title=title, titles=titles, width=_FRAME_WIDTH)


def record_trajectory(
    generator: ImageGenerator,
    indices: Sequence[int],
    classes: Sequence[str] | None = None,
    *,
    frames: int = 60,
    at: Sequence[int] = (),
) -> Trajectory:
    """Record how a trained model generates images; they are the same as those of `sample` with these indices.

    Args:
        generator: the model with its sampler and options.
        indices: indices of the images, which decide their noise.
        classes: class name of each image; None takes class i mod K for image i of a class-conditional network.
        frames: largest number of recorded frames, evenly spaced, including the first and the last.
        at: timesteps whose nearest frames are recorded too.

    Raises:
        DataError: if there is no such class.
        NotFiniteError, PluginError: as `noisette.sampling.loop.generate`.
    """
    model = generator.model
    labels = generator.balanced_labels(indices) if classes is None else generator.labels(classes)
    denoise = generator.denoiser(labels)
    with generator.limit_threads():
        return record_sampler_trajectory(
            denoise,
            generator.sampler,
            model.shape,
            indices,
            generator.seed,
            model.machine.device,
            frames=frames,
            at=at,
        )


@torch.no_grad()
def record_sampler_trajectory(
    denoise: Denoiser,
    sampler: Sampler,
    shape: Sequence[int],
    indices: Sequence[int],
    seed: int,
    device: torch.device | str = "cpu",
    *,
    frames: int = 60,
    at: Sequence[int] = (),
) -> Trajectory:
    """Generate images as `noisette.sampling.loop.generate` does, and record some frames.

    Only these frames are in memory. For a sampler with several denoiser calls a step, a frame has the x0 of the
    first call; without a call, that of the step before.
    """
    noise = Noise(seed, indices, shape, device=device)
    start = noise()
    recording = _RecordingDenoiser(denoise)
    timesteps = denoise.process.timesteps(sampler.steps, sampler.spacing)
    last = len(timesteps) - 1
    wanted = {*evenly_spaced(last + 1, frames), *_nearest(timesteps[:-1], at)} - {last}
    steps, x_t_frames, x0_frames = [], [], []
    x, before = None, _bytes(start)
    with autocast_weight_cache(start):
        for number, x in enumerate(sampler.trajectory(recording, start, noise)):
            if number in wanted:
                steps.append(recording.t)
                x_t_frames.append(before)
                x0_frames.append(_bytes(recording.x0))
            recording.fresh = True
            if number + 1 in wanted:
                before = _bytes(x)
    images = _bytes(check_final_state(x, start, sampler))
    return Trajectory(
        sampler.label, (*steps, CLEAN), np.stack([*x_t_frames, images]), np.stack([*x0_frames, images])
    )


@dataclass(frozen=True)
class ClassTrajectories:
    """Trajectories of images of each class, one for each guidance scale; all begin at the same noise.

    Attributes:
        classes: class names, one for each column.
        scales: guidance scale of each trajectory (Ho & Salimans 2022); 1 is off.
        trajectories: each of rows * len(classes) images, row by row.
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
        """Record `rows` images of each class at each guidance scale.

        Args:
            generator: the model; the guidance scale of its sampler is replaced.
            scales: guidance scales, each at least 0.
            rows: images of each class for each scale.
            classes: class names; None takes all, so that image (row, k) is image row * K + k of `sample`.
            frames: largest number of recorded frames; 1 records the images only.

        Raises:
            DataError: if the network is unconditional, or knows no such class.
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
        """Return a sheet of the images: a column for each class, rows by guidance scale."""
        return self._sheet([trajectory.images for trajectory in self.trajectories])

    def frames(self) -> Iterator[Image.Image]:
        """Yield a sheet of x_t for each frame."""
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
            images, self.classes, labels, group=rows, title=title, width=_FRAME_WIDTH if title else 1000
        )


def evenly_spaced(count: int, limit: int) -> list[int]:
    """Return at most `limit` of the numbers 0 ... count - 1, evenly spaced, including the first and the last."""
    if limit >= count:
        return list(range(count))
    last = count - 1
    return sorted({round(i * last / max(limit - 1, 1)) for i in range(limit)} | {last})[-limit:]


class _RecordingDenoiser(Denoiser):
    """Records the first call after `fresh` is set."""

    def __init__(self, denoise: Denoiser) -> None:
        self.denoise, self.process = denoise, denoise.process
        self.fresh, self.t, self.x0 = True, CLEAN, torch.empty(0)

    def __call__(self, x_t: Tensor, t: int) -> Prediction:
        prediction = self.denoise(x_t, t)
        if self.fresh:
            self.fresh, self.t, self.x0 = False, t, prediction.x0
        return prediction


def _nearest(steps: Sequence[int], at: Sequence[int]) -> list[int]:
    """Return the indices of the timesteps nearest to those in `at`, ascending and without repetition."""
    return sorted({min(range(len(steps)), key=lambda index: abs(steps[index] - t)) for t in at})


def _bytes(images: Tensor) -> NDArray[np.uint8]:
    return to_bytes(images).cpu().numpy()


def _rows(images: NDArray[np.uint8], columns: int) -> list[NDArray[np.uint8]]:
    """Split images into rows of equal length; the last row is filled with white images."""
    columns = min(columns, len(images))
    missing = ceil(len(images) / columns) * columns - len(images)
    white = np.full((missing, *images.shape[1:]), 255, dtype=np.uint8)
    return np.split(np.concatenate([images, white]), (len(images) + missing) // columns)


def _caption(t: int) -> str:
    return "image" if t == CLEAN else f"t = {t}"
