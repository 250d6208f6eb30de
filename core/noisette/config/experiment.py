"""The experiment: everything that decides a result, from the data to the metrics."""

from __future__ import annotations

from pydantic import Field, ValidationInfo, field_validator

from noisette.config.agreement import problems_of_pictures, problems_of_sampling, shortened, without_signal
from noisette.config.document import Document, defaults, named
from noisette.config.figures import Scene, SceneRef
from noisette.config.problems import nested
from noisette.config.reference import BackboneRef, DatasetRef, ObjectiveRef, ScheduleRef
from noisette.config.sections import Evaluation, Preparation, Sampling, told_apart
from noisette.config.training import Training
from noisette.contracts import Objective

__all__ = ["Experiment"]


class Experiment(Document):
    """One experiment. Two equal experiments give the same pictures on the same machine."""

    dataset: DatasetRef
    preparation: Preparation = Field(default_factory=defaults)
    schedule: ScheduleRef = Field(named("linear"), description="noise schedule")
    timesteps: int = Field(1000, ge=1, le=100_000, description="T, the steps of the forward process")
    objective: ObjectiveRef = Field(named("eps"), description="what the network predicts")
    backbone: BackboneRef = Field(named("small"), description="the network")
    training: Training = Field(default_factory=defaults)
    sampling: Sampling = Field(default_factory=defaults)
    evaluation: Evaluation = Field(default_factory=defaults)
    pictures: tuple[SceneRef, ...] = Field((), description="pictures of the process, made with the trained network")

    @field_validator("timesteps")
    @classmethod
    def _as_many_as_the_schedule_has(cls, timesteps: int, info: ValidationInfo) -> int:
        length = info.data["schedule"].length if "schedule" in info.data else None
        if length not in (None, timesteps):
            raise ValueError(f"expected {length}, for which the schedule was made; got {timesteps}")
        return timesteps

    @field_validator("objective")
    @classmethod
    def _sees_a_signal(cls, objective: Objective, info: ValidationInfo) -> Objective:
        reason = without_signal(objective, info.data["schedule"]) if "schedule" in info.data else ""
        if reason:
            raise ValueError(reason)
        return objective

    @field_validator("sampling")
    @classmethod
    def _goes_with_the_rest(cls, sampling: Sampling, info: ValidationInfo) -> Sampling:
        if "timesteps" in info.data:
            samplers = shortened(sampling.samplers, info.data["timesteps"])
            if samplers != sampling.samplers:
                sampling = sampling.model_copy(update={"samplers": told_apart(samplers)})
        problems = problems_of_sampling(sampling, info.data)
        if problems:
            raise nested(problems)
        return sampling

    @field_validator("pictures")
    @classmethod
    def _possible(cls, pictures: tuple[Scene, ...], info: ValidationInfo) -> tuple[Scene, ...]:
        problems = problems_of_pictures(pictures, info.data)
        if problems:
            raise nested(problems)
        return pictures
