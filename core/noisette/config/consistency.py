"""Checks across the sections of a config; each function returns the problems that it finds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from noisette.config.figures import Classes, Figure, Forward, Upscale
from noisette.config.sections import Sampling
from noisette.config.training import Training
from noisette.contracts import Objective, Sampler, Schedule
from noisette.diffusion.spacing import space_timesteps
from noisette.errors import Problem

__all__ = ["cap_steps", "check_figures", "check_sampling", "explain_missing_signal"]


def explain_missing_signal(objective: Objective, schedule: Schedule) -> str:
    """Return why an objective cannot be used with a schedule, or nothing."""
    if not schedule.has_zero_terminal_snr:
        return ""
    if objective.needs_signal:
        return (
            f"expected one that works without signal, such as v or x0; got {objective.name}: the schedule ends "
            "in pure noise, where the predicted noise does not determine x0 = (x_t - sigma eps) / 0"
        )
    if objective.weight == "none" or objective.bound == "full":  # the full bound has no weight
        return ""
    return (
        f"expected weight: none; got {objective.weight}, which falls to 0 with the signal: the schedule ends in "
        "pure noise, so the timestep that sampling starts from would have weight 0 and never be trained. "
        "Use weight: none, or a schedule that keeps some signal, such as cosine"
    )


def cap_steps(sampler: Sampler, timesteps: int) -> Sampler:
    """Return a sampler whose default number of steps is at most `timesteps`; explicit steps are unchanged."""
    if sampler.steps <= timesteps or "steps" in sampler.model_fields_set:
        return sampler
    return sampler.model_copy(update={"steps": timesteps})


def check_sampling(sampling: Sampling, sections: Mapping[str, Any]) -> list[Problem]:
    """Return the problems of the sampling section, given the valid sections by name."""
    problems = [*_check_ema(sampling, sections), *_check_labels(sampling, sections)]
    for index, sampler in enumerate(sampling.samplers):
        problems += [
            Problem(f"samplers.{index}{problem.path}", problem.message)
            for problem in _check_sampler(sampler, sections)
        ]
    return problems


def check_figures(figures: tuple[Figure, ...], sections: Mapping[str, Any] | None) -> list[Problem]:
    """Return the problems of the figures, given the valid sections; None for a config without a dataset."""
    labels = [figure.label for figure in figures]
    problems = []
    for index, figure in enumerate(figures):
        own = list(_check_without_data(figure) if sections is None else _check_with_sections(figure, sections))
        if labels.index(figure.label) < index:
            own.append(Problem("title", f"expected a unique title; got {figure.label} twice"))
        problems += [
            Problem(f"{index}.{problem.path}" if problem.path else f"{index}", problem.message) for problem in own
        ]
    return problems


def _check_without_data(figure: Figure) -> Iterator[Problem]:
    """Yield the problems of a figure in a config without a dataset."""
    if figure.needs_model:
        yield Problem("", f"{figure.name} needs a trained network: set `dataset`")
    for source in figure.sources:
        if source.partition(":")[0] in ("test", "train", "generated"):
            yield Problem("", f"{source} is an image of a dataset: set `dataset`, or name an image file")
    yield from _check_timesteps(figure, getattr(figure, "num_timesteps", None) or 1000)


def _check_with_sections(figure: Figure, sections: Mapping[str, Any]) -> Iterator[Problem]:
    """Yield the problems of a figure of an experiment, as far as its sections are valid."""
    if "timesteps" in sections:
        yield from _check_timesteps(figure, getattr(figure, "num_timesteps", None) or sections["timesteps"])
    if isinstance(figure, Forward) and any(source.startswith("generated:") for source in figure.sources):
        yield Problem("images", "expected image files, test:0 or train:0; generated images are not noised")
    sampler = getattr(figure, "sampler", None)
    if isinstance(sampler, Sampler):
        capped = cap_steps(sampler, sections.get("timesteps", sampler.steps))
        for problem in _check_sampler(capped, sections):
            yield Problem(f"sampler{problem.path}", problem.message)
    if "training" not in sections:
        return
    if isinstance(figure, Classes) and any(scale != 1 for scale in figure.guidance_scale):
        yield from _check_class_dropout(sections["training"], "guidance_scale")
    if (isinstance(figure, Classes) or getattr(figure, "class_name", None)) and not sections[
        "training"
    ].class_conditional:
        yield Problem("", "needs training.class_conditional=true")
    if isinstance(figure, Upscale) != (sections["training"].low_res_size is not None) and figure.needs_model:
        message = (
            "needs training.low_res_size"
            if isinstance(figure, Upscale)
            else "does not support super-resolution networks"
        )
        yield Problem("", message)


def _check_timesteps(figure: Figure, timesteps: int) -> Iterator[Problem]:
    too_large = [t for t in getattr(figure, "timesteps", None) or () if t >= timesteps]
    if too_large:
        yield Problem(
            "timesteps", f"expected timesteps within 0 to {timesteps - 1}; got {', '.join(map(str, too_large))}"
        )


def _check_ema(sampling: Sampling, sections: Mapping[str, Any]) -> Iterator[Problem]:
    if "training" not in sections or isinstance(sampling.ema, bool):
        return
    decays = sections["training"].decays
    if sampling.ema not in decays:
        known = ", ".join(map(str, decays)) or "which is null"
        yield Problem("ema", f"expected a decay of training.ema_decay, {known}; got {sampling.ema}")


def _check_labels(sampling: Sampling, sections: Mapping[str, Any]) -> Iterator[Problem]:
    """Yield the problems of sampling without labels."""
    if sampling.labels != "none":
        return
    for index, sampler in enumerate(sampling.samplers):
        if sampler.is_guided:
            yield Problem(f"samplers.{index}.guidance_scale", "needs sampling.labels=balanced")
    if "training" in sections:
        yield from _check_class_dropout(sections["training"], "labels")


def _check_class_dropout(training: Training, path: str) -> Iterator[Problem]:
    if training.class_conditional and not training.class_dropout:
        yield Problem(path, "needs training.class_dropout above 0, to train the network without labels too")


def _check_sampler(sampler: Sampler, sections: Mapping[str, Any]) -> Iterator[Problem]:
    if "timesteps" in sections:
        yield from _check_timesteps_of_sampler(sampler, sections["timesteps"])
    if sampler.is_guided and "training" in sections:
        if not sections["training"].class_conditional:
            yield Problem(
                ".guidance_scale",
                "needs training.class_conditional=true",
            )
        yield from _check_class_dropout(sections["training"], ".guidance_scale")
    if sampler.needs_learned_variance and "objective" in sections and sections["objective"].outputs == 1:
        yield Problem("", "needs objective.bound=hybrid or full, which learn the variance")


def _check_timesteps_of_sampler(sampler: Sampler, timesteps: int) -> Iterator[Problem]:
    interval = sampler.guidance_interval
    if interval is not None and interval[1] >= timesteps:
        yield Problem(
            ".guidance_interval",
            f"expected timesteps within 0 to {timesteps - 1}; got {interval[0]} to {interval[1]}",
        )
    try:
        # the result does not depend on the schedule: any rising ratios will do
        space_timesteps(timesteps, sampler.steps, sampler.spacing, range(1, timesteps + 1))
    except ValueError as error:
        option, _, message = str(error).partition(": ")
        yield Problem(f".{option}", message)
