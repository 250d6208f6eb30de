"""Conversion between a config's process (schedule, timesteps, objective, clipping) and diffusers' schedulers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from noisette import DataError
from noisette_plugins.backbones.exchange.foreign_config import Scheduler
from noisette_plugins.schedules import Cosine, Linear, Quadratic, ScaledLinear, Sigmoid

__all__ = ["find_schedule", "parse_scheduler", "scheduler_config"]

_OBJECTIVES = {"eps": "epsilon", "x0": "sample", "v": "v_prediction"}


def parse_scheduler(config: Mapping[str, Any], source: Path) -> dict[str, Any]:
    """Return the keys `schedule`, `timesteps`, `objective` and `sampling` for a scheduler's config.

    The sampling method is not read: a noisette config lists its own samplers.

    Raises:
        DataError: with the name of an unsupported setting.
    """
    settings = Scheduler.read(config, source)
    known = {theirs: ours for ours, theirs in _OBJECTIVES.items()}
    kind = settings.prediction_type
    if kind not in known:
        raise DataError(f"{source}: prediction_type: expected one of {', '.join(known)}; came {kind!r}")
    if str(settings.variance_type).startswith("learned"):
        raise DataError(f"{source}: variance_type: a learned variance is not read; came {settings.variance_type}")
    schedule = _parse_schedule(settings, source)
    if settings.rescale_betas_zero_snr:
        schedule = {"name": "zero-terminal", "of": schedule}
    return {
        "schedule": schedule,
        "timesteps": settings.num_train_timesteps,
        "objective": known[kind],
        "sampling": {"clip_x0": settings.clip_sample_range if settings.clip_sample else None},
    }


def _parse_schedule(settings: Scheduler, source: Path) -> dict[str, Any]:
    if settings.trained_betas is not None:
        return find_schedule(settings.trained_betas)
    ends = {"start": settings.beta_start, "end": settings.beta_end}
    schedules: dict[str, dict[str, Any]] = {
        "linear": {"name": "linear", **ends, "scaled": False},
        "scaled_linear": {"name": "scaled-linear", **ends},
        "squaredcos_cap_v2": {"name": "cosine"},
    }
    name = settings.beta_schedule
    if name not in schedules:
        raise DataError(f"{source}: beta_schedule: expected one of {', '.join(schedules)}; came {name!r}")
    return schedules[name]


def find_schedule(betas: Sequence[float], rounding: float = 1e-9) -> dict[str, Any]:
    """Return the schedule whose defaults give these betas, up to rounding; else `given` with the betas."""
    values = torch.tensor(betas, dtype=torch.float64)
    for schedule in (Linear(), Cosine(), Quadratic(), ScaledLinear(), Sigmoid()):
        if torch.allclose(schedule.betas(len(values)), values, rtol=rounding, atol=0):
            return {"name": schedule.name}
    return {"name": "given", "values": list(betas)}


def scheduler_config(betas: Tensor, objective: str, clip: float | None) -> dict[str, Any]:
    """Return the config of a DDPMScheduler for the betas (T,) of a process.

    Raises:
        DataError: if diffusers does not support the objective.
    """
    if objective not in _OBJECTIVES:
        raise DataError(f"diffusers' DDPMScheduler has no objective {objective!r}; it has {', '.join(_OBJECTIVES)}")
    return {
        "_class_name": "DDPMScheduler",
        "clip_sample": clip is not None,
        "clip_sample_range": 1.0 if clip is None else clip,
        "num_train_timesteps": len(betas),
        "prediction_type": _OBJECTIVES[objective],
        "timestep_spacing": "linspace",
        "trained_betas": betas.tolist(),
        "variance_type": "fixed_small",
    }
