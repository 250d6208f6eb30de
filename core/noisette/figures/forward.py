"""What noise does to images: x_t = alpha_t x_0 + sigma_t eps (Ho et al. 2020, eq. 4). No network is needed."""

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
    "scale_timesteps",
]


def default_schedules() -> list[Schedule]:
    """Return every installed schedule that needs no options; one of betas that are given is none."""
    found = [one.plugin for one in registry().of_kind("schedule")]
    ready = [one for one in found if not any(field.is_required() for field in one.model_fields.values())]
    return [cast(Schedule, one()) for one in ready]


def label_schedules(schedules: Iterable[Schedule]) -> dict[str, Schedule]:
    """Return schedules by what their rows are called: the name, and the options that were given and differ."""
    return {_row(schedule): schedule for schedule in schedules}


def _row(schedule: Schedule) -> str:
    changed = {
        key: getattr(schedule, key)
        for key, field in type(schedule).model_fields.items()
        if key in schedule.model_fields_set
        and getattr(schedule, key) != field.get_default(call_default_factory=True)
    }
    return " ".join([schedule.name, *(f"{key}={getattr(value, 'name', value)}" for key, value in changed.items())])


FORWARD_TIMESTEPS = (0, 15, 50, 100, 200, 300, 400, 550, 700, 999)
"""Steps that a strip shows, of 1000."""


def scale_timesteps(timesteps: int, of_1000: Sequence[int] = FORWARD_TIMESTEPS) -> list[int]:
    """Return steps, given for T = 1000, scaled to T: the first stays 0, the last T - 1, none comes twice."""
    return list(dict.fromkeys(round(t * (timesteps - 1) / 999) for t in of_1000))


def check_timesteps(at: Sequence[int], timesteps: int) -> list[int]:
    """Return the steps.

    Raises:
        DataError: if there is none, or one is not within [0, T).
    """
    wrong = [t for t in at if not 0 <= t < timesteps]
    if wrong or not at:
        actual = ", ".join(map(str, wrong)) or "none"
        raise DataError(f"steps: expected some within 0 to {timesteps - 1}, the steps of the process; got {actual}")
    return list(at)


def noise_at_timesteps(images: Tensor, process: Process, at: Sequence[int], seed: int = 0) -> Tensor:
    """Return images at several steps of the forward process, (N, len(at), C, H, W).

    Each image has one noise at all steps, drawn for its number, so that the eye can follow it.

    Args:
        images: (N, C, H, W) within [-1, 1].
        process: the process.
        at: steps within [0, T).
        seed: seed of the noise.
    """
    eps = Noise(seed, range(len(images)), images.shape[1:])()
    factors = [process(t) for t in check_timesteps(at, len(process))]
    return torch.stack([alpha * images + sigma * eps for alpha, sigma in factors], dim=1)


def make_forward_strip(
    images: NDArray[np.uint8], processes: Mapping[str, Process], at: Sequence[int] | None = None, seed: int = 0
) -> Image.Image:
    """Draw x_t of images: a column a step, a row for each process and image, all rows with the same noise.

    Args:
        images: uint8 (N, C, H, W).
        processes: tables of one T by the name that their rows are given.
        at: steps within [0, T); None takes `FORWARD_TIMESTEPS`, scaled to T.
        seed: seed of the noise.

    Raises:
        DataError: if a step is not one of the process.
    """
    timesteps = len(next(iter(processes.values())))
    at = scale_timesteps(timesteps) if at is None else at
    unit = to_unit(torch.from_numpy(np.array(images)))
    strips = [to_bytes(noise_at_timesteps(unit, process, at, seed)).numpy() for process in processes.values()]
    names = [name if not row else "" for name in processes for row in range(len(images))]
    return make_sheet(np.concatenate(strips), [f"t = {t}" for t in at], names, group=len(images))
