"""What the sections of an experiment must agree on: each function returns the problems that it finds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from noisette.config.sections import Sampling
from noisette.contracts import Objective, Sampler, Schedule
from noisette.diffusion.spacing import descending
from noisette.errors import Problem

__all__ = ["problems_of_sampling", "shortened", "without_signal"]


def without_signal(objective: Objective, schedule: Schedule) -> str:
    """Return why an objective cannot be used with a schedule, or nothing."""
    if not (objective.needs_signal and schedule.ends_in_noise):
        return ""
    return (
        f"expected one that works without signal, such as v or x0; got {objective.name}: the schedule ends "
        "in pure noise, from which predicted noise leads to no picture (x0 = (x_t - sigma eps) / 0)"
    )


def shortened(samplers: tuple[Sampler, ...], timesteps: int) -> tuple[Sampler, ...]:
    """Return samplers whose default is longer than the process with all its steps; steps that are given stay."""
    return tuple(
        sampler.model_copy(update={"steps": timesteps})
        if sampler.steps > timesteps and "steps" not in sampler.model_fields_set
        else sampler
        for sampler in samplers
    )


def problems_of_sampling(sampling: Sampling, others: Mapping[str, Any]) -> list[Problem]:
    """Return what is wrong with the sampling, given the sections that were valid by name."""
    problems = list(_of_averages(sampling, others))
    for index, sampler in enumerate(sampling.samplers):
        problems += [
            Problem(f"samplers.{index}{problem.path}", problem.message) for problem in _of_sampler(sampler, others)
        ]
    return problems


def _of_averages(sampling: Sampling, others: Mapping[str, Any]) -> Iterator[Problem]:
    decays = others["training"].decays if "training" in others else ()
    if not isinstance(sampling.ema, bool) and decays and sampling.ema not in decays:
        known = ", ".join(map(str, decays))
        yield Problem("ema", f"expected a decay of training.ema, {known}; got {sampling.ema}")


def _of_sampler(sampler: Sampler, others: Mapping[str, Any]) -> Iterator[Problem]:
    if "timesteps" in others:
        yield from _of_walk(sampler, others["timesteps"])
    if sampler.guidance and "training" in others and not others["training"].labels:
        yield Problem(".guidance", "needs training.labels=true: a network without labels has no guidance")
    if sampler.needs_learned_variance and "objective" in others and others["objective"].outputs == 1:
        yield Problem("", "needs objective.bound=hybrid or full, which learn the variance")


def _of_walk(sampler: Sampler, timesteps: int) -> Iterator[Problem]:
    try:
        # whether there is such a walk does not hang on the schedule: any rising ratios will do
        descending(timesteps, sampler.steps, sampler.spacing, range(1, timesteps + 1))
    except ValueError as error:
        option, _, message = str(error).partition(": ")
        yield Problem(f".{option}", message)
