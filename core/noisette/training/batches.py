"""What a training step sees: a function of (seed, step) alone.

The order of the pictures, their steps, noise, mirrors and hidden labels come from generators seeded by (seed,
step) or (seed, epoch), never from the state of a global one: a run that is resumed sees what it would have seen.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from noisette.diffusion.noise import seeded_generator

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from noisette.config import Experiment
    from noisette.data import Prepared

__all__ = ["Batches", "TrainingBatch", "to_unit"]


def to_unit(pictures: Tensor) -> Tensor:
    """Map uint8 0 ... 255 to float32 -1 ... 1."""
    return pictures.float().div_(127.5).sub_(1.0)


@dataclass(frozen=True)
class TrainingBatch:
    """One batch, on the CPU.

    Attributes:
        x0: pictures in [-1, 1], (N, C, H, W) float32.
        t: their steps, (N,) int64.
        eps: their noise, like x0.
        label: their classes, (N,) int64, hidden ones replaced by the number of classes; or None.
    """

    x0: Tensor
    t: Tensor
    eps: Tensor
    label: Tensor | None


class Batches:
    """The batches of an experiment, by step."""

    def __init__(self, experiment: Experiment, data: Prepared) -> None:
        self._seed, self._timesteps = experiment.seed, experiment.timesteps
        self._options = experiment.training
        self._pictures = data.pictures("train")
        self._labels = data.labels("train") if experiment.training.labels else None
        self._classes = len(data.classes)
        self._epoch, self._order = -1, np.empty(0, dtype=np.int64)

    def __getitem__(self, step: int) -> TrainingBatch:
        """Return the batch of a step, counted from 0."""
        rows = self._rows(step)
        generator = seeded_generator(self._seed, "batch", step)
        x0 = to_unit(torch.from_numpy(self._pictures[rows]))
        t = self._times(len(rows), generator)
        eps = torch.empty_like(x0).normal_(generator=generator)
        if self._options.offset_noise:
            shared = torch.randn(*x0.shape[:2], 1, 1, generator=generator)
            eps += self._options.offset_noise * shared
        if self._options.flip:
            mirrored = torch.rand(len(rows), generator=generator) < 0.5
            x0[mirrored] = x0[mirrored].flip(-1)
        return TrainingBatch(x0, t, eps, self._label(rows, generator))

    def _times(self, count: int, generator: torch.Generator) -> Tensor:
        if self._options.times == "uniform":
            return torch.randint(self._timesteps, (count,), generator=generator)
        half = torch.randint(self._timesteps, ((count + 1) // 2,), generator=generator)
        return torch.cat([half, self._timesteps - 1 - half])[:count]

    def _rows(self, step: int) -> NDArray[np.int64]:
        """Return the rows of a step's pictures: the epochs' orders, one after another, cut into batches."""
        size, count = self._options.batch, len(self._pictures)
        positions = np.arange(step * size, (step + 1) * size)
        return np.array([self._row(*divmod(int(position), count)) for position in positions])

    def _row(self, epoch: int, offset: int) -> int:
        if epoch != self._epoch:
            generator = seeded_generator(self._seed, "epoch", epoch)
            self._epoch = epoch
            self._order = torch.randperm(len(self._pictures), generator=generator).numpy()
        return int(self._order[offset])

    def _label(self, rows: NDArray[np.int64], generator: torch.Generator) -> Tensor | None:
        if self._labels is None:
            return None
        label = torch.from_numpy(self._labels[rows])
        hidden = torch.rand(len(rows), generator=generator) < self._options.label_dropout
        return label.masked_fill(hidden, self._classes)
