"""Noised images x_t = alpha_t x_0 + sigma_t eps (Ho et al. 2020, eq. 4), without a network."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, cast

import numpy as np
import torch
from torch import Tensor

from noisette.contracts import Schedule
from noisette.diffusion.noise import Noise
from noisette.diffusion.process import Process
from noisette.errors import DataError
from noisette.images import make_sheet
from noisette.pixels import to_bytes, to_unit
from noisette.plugins import registry

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL import Image

__all__ = [
    "FORWARD_TIMESTEPS",
    "check_timesteps",
    "default_schedules",
    "label_schedules",
    "make_forward_strip",
    "noise_at_timesteps",
    "noise_step_by_step",
    "scale_timesteps",
]


def default_schedules() -> list[Schedule]:
    """Return every installed schedule without required options, at its defaults."""
    plugins = [found.plugin for found in registry().of_kind("schedule")]
    optionless = [p for p in plugins if not any(field.is_required() for field in p.model_fields.values())]
    return [cast(Schedule, plugin()) for plugin in optionless]


def label_schedules(schedules: Iterable[Schedule]) -> dict[str, Schedule]:
    """Return schedules by the label of their rows: the name, and explicit options other than the default."""
    return {_row_label(schedule): schedule for schedule in schedules}


def _row_label(schedule: Schedule) -> str:
    changed = {
        key: getattr(schedule, key)
        for key, field in type(schedule).model_fields.items()
        if key in schedule.model_fields_set
        and getattr(schedule, key) != field.get_default(call_default_factory=True)
    }
    return " ".join([schedule.name, *(f"{key}={getattr(value, 'name', value)}" for key, value in changed.items())])


FORWARD_TIMESTEPS = (0, 15, 50, 100, 200, 300, 400, 550, 700, 999)
"""Timesteps of a strip, of 1000."""


def scale_timesteps(timesteps: int, of_1000: Sequence[int] = FORWARD_TIMESTEPS) -> list[int]:
    """Scale timesteps of T = 1000 to another T: 0 stays 0, 999 becomes T - 1, and none occurs twice."""
    return list(dict.fromkeys(round(t * (timesteps - 1) / 999) for t in of_1000))


def check_timesteps(at: Sequence[int], timesteps: int) -> list[int]:
    """Return the timesteps.

    Raises:
        DataError: if there are none, or one is not within [0, T).
    """
    wrong = [t for t in at if not 0 <= t < timesteps]
    if wrong or not at:
        actual = ", ".join(map(str, wrong)) or "none"
        raise DataError(f"timesteps: expected some within 0 to {timesteps - 1}; got {actual}")
    return list(at)


def noise_at_timesteps(images: Tensor, process: Process, at: Sequence[int], seed: int = 0) -> Tensor:
    """Return images at several timesteps of the forward process, (N, len(at), C, H, W).

    An image has the same noise at all timesteps; its index decides the noise.

    Args:
        images: (N, C, H, W) within [-1, 1].
        process: the forward process.
        at: timesteps within [0, T).
        seed: seed of the noise.
    """
    eps = Noise(seed, range(len(images)), images.shape[1:])()
    factors = [process(t) for t in check_timesteps(at, len(process))]
    return torch.stack([alpha * images + sigma * eps for alpha, sigma in factors], dim=1)


def noise_step_by_step(images: Tensor, process: Process, at: Sequence[int], seed: int = 0) -> Tensor:
    """Return images at several timesteps of the Markov chain, (N, len(at), C, H, W).

    Each step adds its own noise: x_t = sqrt(1 - beta_t) x_{t-1} + sqrt(beta_t) eps_t (Ho et al. 2020, eq. 2). The
    states are distributed as those of `noise_at_timesteps`, the closed form of the chain. Arguments as there.
    """
    noise, states, x = Noise(seed, range(len(images)), images.shape[1:]), {}, images
    check_timesteps(at, len(process))
    for t, beta in enumerate(process.betas[: max(at) + 1].tolist()):
        x = (1 - beta) ** 0.5 * x + beta**0.5 * noise()
        if t in at:
            states[t] = x
    return torch.stack([states[t] for t in at], dim=1)


def make_forward_strip(
    images: NDArray[np.uint8],
    processes: Mapping[str, Process],
    at: Sequence[int] | None = None,
    seed: int = 0,
    *,
    chain: bool = False,
) -> Image.Image:
    """Return a sheet of noised images: a column for each timestep, a row for each process and image.

    All processes have the same noise.

    Args:
        images: uint8 (N, C, H, W).
        processes: forward processes of the same T, by the labels of their rows.
        at: timesteps within [0, T); None takes `FORWARD_TIMESTEPS`, scaled to T.
        seed: seed of the noise.
        chain: whether the rows of each process are followed by those of its chain, noised step by step.

    Raises:
        DataError: if a timestep is out of range.
    """
    timesteps = len(next(iter(processes.values())))
    at = scale_timesteps(timesteps) if at is None else at
    unit = to_unit(torch.from_numpy(np.array(images)))
    ways = {"": noise_at_timesteps, ", step by step": noise_step_by_step} if chain else {"": noise_at_timesteps}
    strips = [
        to_bytes(add_noise(unit, process, at, seed)).numpy()
        for process in processes.values()
        for add_noise in ways.values()
    ]
    labels = [f"{name}{way}" for name in processes for way in ways]
    names = [label if not row else "" for label in labels for row in range(len(images))]
    return make_sheet(np.concatenate(strips), [f"t = {t}" for t in at], names, group=len(images))
