"""What the sections of an experiment must agree on: each function returns the problems that it finds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from noisette.config.figures import Classes, Enlarge, Forward, Scene
from noisette.config.sections import Sampling
from noisette.config.training import Training
from noisette.contracts import Objective, Sampler, Schedule
from noisette.diffusion.spacing import descending
from noisette.errors import Problem

__all__ = ["problems_of_pictures", "problems_of_sampling", "shortened", "without_signal"]


def without_signal(objective: Objective, schedule: Schedule) -> str:
    """Return why an objective cannot be used with a schedule, or nothing."""
    if not schedule.ends_in_noise:
        return ""
    if objective.needs_signal:
        return (
            f"expected one that works without signal, such as v or x0; got {objective.name}: the schedule ends "
            "in pure noise, from which predicted noise leads to no picture (x0 = (x_t - sigma eps) / 0)"
        )
    if (
        objective.weight == "none" or objective.bound == "full"
    ):  # the full bound is the whole loss, without a weight
        return ""
    return (
        f"expected weight: none; got {objective.weight}, which falls to 0 with the signal: the schedule ends in "
        "pure noise, so the step that sampling starts from would weigh nothing and never be trained. "
        "Take weight: none, or a schedule that keeps a little signal, such as cosine"
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
    problems = [*_of_averages(sampling, others), *_of_labels(sampling, others)]
    for index, sampler in enumerate(sampling.samplers):
        problems += [
            Problem(f"samplers.{index}{problem.path}", problem.message) for problem in _of_sampler(sampler, others)
        ]
    return problems


def problems_of_pictures(pictures: tuple[Scene, ...], others: Mapping[str, Any] | None) -> list[Problem]:
    """Return what is wrong with the listed pictures, given the valid sections; None for a config without data."""
    labels = [scene.label for scene in pictures]
    problems = []
    for index, scene in enumerate(pictures):
        found = list(_of_scene(scene) if others is None else _of_drawing(scene, others))
        if labels.index(scene.label) < index:
            found.append(Problem("title", f"expected one that differs; {scene.label} is called the same"))
        problems += [Problem(f"{index}.{one.path}" if one.path else f"{index}", one.message) for one in found]
    return problems


def _of_scene(scene: Scene) -> Iterator[Problem]:
    """Yield what a scene lacks where there are no data."""
    if scene.needs_model:
        yield Problem("", f"{scene.name} needs a trained network: name a dataset to train on")
    for source in scene.sources:
        if source.partition(":")[0] in ("test", "train", "drawn"):
            yield Problem("", f"{source} is of a data set: name one, or a picture file")
    yield from _of_steps(scene, getattr(scene, "timesteps", None) or 1000)


def _of_drawing(scene: Scene, others: Mapping[str, Any]) -> Iterator[Problem]:
    """Yield what a scene of an experiment lacks, as far as its sections are valid."""
    if "timesteps" in others:
        yield from _of_steps(scene, getattr(scene, "timesteps", None) or others["timesteps"])
    if isinstance(scene, Forward) and any(source.startswith("drawn:") for source in scene.sources):
        yield Problem("pictures", "expected files, test:0 or train:0; what the network draws is not noised")
    sampler = getattr(scene, "sampler", None)
    if isinstance(sampler, Sampler):
        (within,) = shortened((sampler,), others.get("timesteps", sampler.steps))
        for problem in _of_sampler(within, others):
            yield Problem(f"sampler{problem.path}", problem.message)
    if "training" not in others:
        return
    if isinstance(scene, Classes) and any(scene.guidance):
        yield from _of_guidance(others["training"], "guidance")
    if (isinstance(scene, Classes) or getattr(scene, "become", None)) and not others["training"].class_conditional:
        yield Problem("", "needs training.class_conditional=true: the network knows no classes")
    if isinstance(scene, Enlarge) != (others["training"].low_res_size is not None) and scene.needs_model:
        asked = "needs training.low_res_size" if isinstance(scene, Enlarge) else "is not for networks that enlarge"
        yield Problem("", asked)


def _of_steps(scene: Scene, timesteps: int) -> Iterator[Problem]:
    wrong = [t for t in getattr(scene, "at", None) or () if t >= timesteps]
    if wrong:
        yield Problem("at", f"expected steps within 0 to {timesteps - 1}; got {', '.join(map(str, wrong))}")


def _of_averages(sampling: Sampling, others: Mapping[str, Any]) -> Iterator[Problem]:
    if "training" not in others or isinstance(sampling.ema, bool):
        return
    decays = others["training"].decays
    if sampling.ema not in decays:
        known = ", ".join(map(str, decays)) or "which keeps none"
        yield Problem("ema", f"expected a decay of training.ema_decay, {known}; got {sampling.ema}")


def _of_labels(sampling: Sampling, others: Mapping[str, Any]) -> Iterator[Problem]:
    """Yield what is asked of a network without labels that needs some, or that never learned to do without."""
    if sampling.labels != "none":
        return
    for index, sampler in enumerate(sampling.samplers):
        if sampler.guidance:
            yield Problem(f"samplers.{index}.guidance", "needs sampling.labels=balanced: it guides to the labels")
    if "training" in others:
        yield from _of_guidance(others["training"], "labels")


def _of_guidance(training: Training, path: str) -> Iterator[Problem]:
    """Yield that a network which was always told its labels cannot do without."""
    if training.class_conditional and not training.class_dropout:
        yield Problem(
            path, "needs training.class_dropout above 0: the network never learns to draw without a label"
        )


def _of_sampler(sampler: Sampler, others: Mapping[str, Any]) -> Iterator[Problem]:
    if "timesteps" in others:
        yield from _of_walk(sampler, others["timesteps"])
    if sampler.guidance and "training" in others:
        if not others["training"].class_conditional:
            yield Problem(
                ".guidance", "needs training.class_conditional=true: a network without labels has no guidance"
            )
        yield from _of_guidance(others["training"], ".guidance")
    if sampler.needs_learned_variance and "objective" in others and others["objective"].outputs == 1:
        yield Problem("", "needs objective.bound=hybrid or full, which learn the variance")


def _of_walk(sampler: Sampler, timesteps: int) -> Iterator[Problem]:
    interval = sampler.guidance_interval
    if interval is not None and interval[1] >= timesteps:
        yield Problem(
            ".guidance_interval", f"expected steps within 0 to {timesteps - 1}; got {interval[0]} to {interval[1]}"
        )
    try:
        # whether there is such a walk does not hang on the schedule: any rising ratios will do
        descending(timesteps, sampler.steps, sampler.spacing, range(1, timesteps + 1))
    except ValueError as error:
        option, _, message = str(error).partition(": ")
        yield Problem(f".{option}", message)
