"""Training batches: a function of (seed, step) alone.

The order of the images, their timesteps, noise, flips and dropped labels come from generators seeded by
(seed, step) or (seed, epoch), never from a global one, so a resumed run gets the same batches.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from noisette.diffusion.noise import seeded_generator
from noisette.errors import DataError
from noisette.model.conditioning import downsample, upsample
from noisette.pixels import to_unit
from noisette.training.optimizer import count_epoch_steps
from noisette.training.timestep_sampler import TimestepSampler, make_timestep_sampler

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from noisette.config import Experiment
    from noisette.data import Prepared

__all__ = ["Batches", "TrainingBatch"]


@dataclass(frozen=True)
class TrainingBatch:
    """One batch, on the CPU.

    Attributes:
        x0: images in [-1, 1], (N, C, H, W) float32.
        t: their timesteps, (N,) int64.
        eps: their noise, like x0.
        label: their classes, (N,) int64, dropped ones replaced by the number of classes; or None.
        weight: weights of their losses, (N,) float32, or None if all are 1.
        low_res: upsampled low-resolution images for super-resolution; like x0, or None.
        self_condition: whether the network gets its own x0 prediction.
    """

    x0: Tensor
    t: Tensor
    eps: Tensor
    label: Tensor | None
    weight: Tensor | None = None
    low_res: Tensor | None = None
    self_condition: bool = False


class Batches:
    """The batches of an experiment, by step.

    Args:
        experiment: provides the seed and the training options.
        data: the images.
        timestep_sampler: draws the timesteps; by default that of the options.

    Raises:
        DataError: if `training.drop_last` leaves no batch.
    """

    def __init__(
        self, experiment: Experiment, data: Prepared, timestep_sampler: TimestepSampler | None = None
    ) -> None:
        self._seed, self._options = experiment.seed, experiment.training
        self._timestep_sampler = timestep_sampler or make_timestep_sampler(
            experiment.training, experiment.timesteps
        )
        self._images = data.images("train")
        self._labels = data.labels("train") if experiment.training.class_conditional else None
        self._classes = len(data.classes)
        if self._options.drop_last and len(self._images) < self._options.batch_size:
            raise DataError(
                f"training.drop_last: expected at least training.batch_size, {self._options.batch_size}, images; "
                f"got {len(self._images)}: set it to false, or use a smaller batch"
            )
        self._epoch, self._order = -1, np.empty(0, dtype=np.int64)

    def __getitem__(self, step: int) -> TrainingBatch:
        """Return the batch of a step, counted from 0."""
        rows = self._rows(step)
        generator = seeded_generator(self._seed, "batch", step)
        x0 = to_unit(torch.from_numpy(self._images[rows]))
        t, weight = self._timestep_sampler.draw(len(rows), generator)
        eps = torch.empty_like(x0).normal_(generator=generator)
        if self._options.offset_noise:
            shared = torch.randn(*x0.shape[:2], 1, 1, generator=generator)
            eps += self._options.offset_noise * shared
        if self._options.random_flip:
            flipped = torch.rand(len(rows), generator=generator) < 0.5
            x0[flipped] = x0[flipped].flip(-1)
        label = self._label(rows, generator)
        self_condition = self._options.self_condition and bool(torch.rand((), generator=generator) < 0.5)
        return TrainingBatch(x0, t, eps, label, weight, self._low_res(x0), self_condition)

    def _low_res(self, x0: Tensor) -> Tensor | None:
        side = self._options.low_res_size
        return None if side is None else upsample(downsample(x0, side), (x0.shape[2], x0.shape[3]))

    @property
    def smallest(self) -> int:
        """The number of images of the smallest batch."""
        size = self._options.batch_size
        return (len(self._images) % size or size) if self._options.drop_last is False else size

    def _rows(self, step: int) -> NDArray[np.int64]:
        """Return the rows of a step's images: the orders of the epochs, cut into batches each or all together."""
        size, count = self._options.batch_size, len(self._images)
        if self._options.drop_last is None:
            places = [divmod(position, count) for position in range(step * size, (step + 1) * size)]
        else:
            epoch, batch = divmod(step, count_epoch_steps(self._options, count))
            places = [(epoch, offset) for offset in range(batch * size, min((batch + 1) * size, count))]
        return np.array([self._row(*place) for place in places])

    def _row(self, epoch: int, offset: int) -> int:
        if epoch != self._epoch:
            generator = seeded_generator(self._seed, "epoch", epoch)
            self._epoch = epoch
            self._order = torch.randperm(len(self._images), generator=generator).numpy()
        return int(self._order[offset])

    def _label(self, rows: NDArray[np.int64], generator: torch.Generator) -> Tensor | None:
        if self._labels is None:
            return None
        label = torch.from_numpy(self._labels[rows])
        dropped = torch.rand(len(rows), generator=generator) < self._options.class_dropout
        return label.masked_fill(dropped, self._classes)
