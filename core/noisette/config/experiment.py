"""The experiment: every option that determines a result, from the dataset to the metrics."""

from __future__ import annotations

from pydantic import Field, ValidationInfo, field_validator

from noisette.config.consistency import cap_steps, check_figures, check_sampling, explain_missing_signal
from noisette.config.document import Document, plugin_default, section_defaults
from noisette.config.figures import Figure, FigureRef
from noisette.config.problems import nest_problems
from noisette.config.reference import BackboneRef, DatasetRef, ObjectiveRef, ScheduleRef
from noisette.config.sections import Evaluation, Preparation, Sampling, check_unique_labels
from noisette.config.training import Training
from noisette.contracts import Objective

__all__ = ["Experiment"]


class Experiment(Document):
    """An experiment. Equal experiments give the same images on the same machine."""

    dataset: DatasetRef
    preparation: Preparation = Field(default_factory=section_defaults)
    schedule: ScheduleRef = Field(plugin_default("linear"), description="noise schedule")
    timesteps: int = Field(1000, ge=1, le=100_000, description="T, the timesteps of the forward process")
    objective: ObjectiveRef = Field(plugin_default("eps"), description="what the network predicts")
    backbone: BackboneRef = Field(plugin_default("small"), description="the network")
    training: Training = Field(default_factory=section_defaults)
    sampling: Sampling = Field(default_factory=section_defaults)
    evaluation: Evaluation = Field(default_factory=section_defaults)
    figures: tuple[FigureRef, ...] = Field((), description="figures to make")

    @field_validator("timesteps")
    @classmethod
    def _check_timesteps(cls, timesteps: int, info: ValidationInfo) -> int:
        length = info.data["schedule"].length if "schedule" in info.data else None
        if length not in (None, timesteps):
            raise ValueError(f"expected {length}, the length of the schedule; got {timesteps}")
        return timesteps

    @field_validator("objective")
    @classmethod
    def _check_objective(cls, objective: Objective, info: ValidationInfo) -> Objective:
        reason = explain_missing_signal(objective, info.data["schedule"]) if "schedule" in info.data else ""
        if reason:
            raise ValueError(reason)
        return objective

    @field_validator("sampling")
    @classmethod
    def _check_sampling(cls, sampling: Sampling, info: ValidationInfo) -> Sampling:
        if "timesteps" in info.data:
            samplers = tuple(cap_steps(sampler, info.data["timesteps"]) for sampler in sampling.samplers)
            if samplers != sampling.samplers:
                sampling = sampling.model_copy(update={"samplers": check_unique_labels(samplers)})
        problems = check_sampling(sampling, info.data)
        if problems:
            raise nest_problems(problems)
        return sampling

    @field_validator("figures")
    @classmethod
    def _check_figures(cls, figures: tuple[Figure, ...], info: ValidationInfo) -> tuple[Figure, ...]:
        problems = check_figures(figures, info.data)
        if problems:
            raise nest_problems(problems)
        return figures
