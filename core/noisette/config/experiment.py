"""The experiment: everything that decides a result, from the data to the metrics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from pydantic import Field, NonNegativeInt, PositiveInt, ValidationError, ValidationInfo, field_validator

from noisette.config.agreement import problems_of_sampling, shortened, without_signal
from noisette.config.base import Section, defaults, named
from noisette.config.overrides import apply_overrides
from noisette.config.problems import nested, problems_of
from noisette.config.reference import BackboneRef, DatasetRef, ObjectiveRef, ScheduleRef
from noisette.config.sections import Evaluation, Preparation, Sampling, told_apart
from noisette.config.training import Training
from noisette.config.yaml import read_yaml
from noisette.contracts import Objective
from noisette.errors import ConfigError

__all__ = ["Experiment"]


class Experiment(Section):
    """One experiment. Two equal experiments give the same pictures on the same machine."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$", description="names its folder and its runs")
    seed: NonNegativeInt = Field(0, description="seed of everything random")
    threads: PositiveInt | None = Field(
        None, description="CPU threads; 1 is best for tiny networks beside other work; null takes a thread a core"
    )
    dataset: DatasetRef
    preparation: Preparation = Field(default_factory=defaults)
    schedule: ScheduleRef = Field(named("linear"), description="noise schedule")
    timesteps: int = Field(1000, ge=1, le=100_000, description="T, the steps of the forward process")
    objective: ObjectiveRef = Field(named("eps"), description="what the network predicts")
    backbone: BackboneRef = Field(named("small"), description="the network")
    training: Training = Field(default_factory=defaults)
    sampling: Sampling = Field(default_factory=defaults)
    evaluation: Evaluation = Field(default_factory=defaults)

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

    @classmethod
    def load(cls, path: Path | str, overrides: Sequence[str] | Mapping[str, Any] = ()) -> Self:
        """Read an experiment from a YAML file.

        Args:
            path: the file.
            overrides: changes such as ``"training.steps=500"``, or a mapping of paths to values.

        Raises:
            ConfigError: with every problem: unknown keys, impossible values, missing plugins.
        """
        config = {"name": Path(path).stem, **read_yaml(Path(path))}
        return cls.parse(apply_overrides(config, overrides), str(path))

    @classmethod
    def parse(cls, config: Mapping[str, Any], source: str = "config") -> Self:
        """Make an experiment from a dictionary; `source` names it in messages.

        Raises:
            ConfigError: as `load`.
        """
        try:
            return cls.model_validate(dict(config))
        except ValidationError as error:
            raise ConfigError(source, problems_of(error, cls)) from None

    def options(self) -> dict[str, Any]:
        """Return the experiment as JSON values, every default spelt out; `parse` makes it again."""
        return self.model_dump(mode="json")
