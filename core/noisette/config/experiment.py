"""The experiment: everything that decides a result, from the data to the metrics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    ValidationError,
    ValidationInfo,
    field_validator,
)

from noisette.config.overrides import apply_overrides
from noisette.config.problems import nested, problems_of
from noisette.config.reference import (
    BackboneRef,
    DatasetRef,
    FeaturesRef,
    MetricRef,
    ObjectiveRef,
    SamplerRef,
    ScheduleRef,
)
from noisette.config.yaml import read_yaml
from noisette.contracts import Objective, Sampler
from noisette.diffusion.spacing import descending
from noisette.errors import ConfigError, Problem

__all__ = ["Evaluation", "Experiment", "Preparation", "Sampling", "Training"]

Decay = Annotated[float, Field(gt=0, lt=1)]


def _named(default: Any) -> Any:
    """Return a default that names plugins; pydantic makes them of it, as of a name in a config."""
    return default


def _defaults() -> Any:
    """Return no keys: pydantic validates them into the section's defaults, and collects their problems."""
    return {}


def _told_apart(samplers: tuple[Sampler, ...]) -> tuple[Sampler, ...]:
    labels = [sampler.label for sampler in samplers]
    twice = sorted({label for label in labels if labels.count(label) > 1})
    if twice:
        raise ValueError(f"expected samplers that differ in name or options; got {', '.join(twice)} twice")
    return samplers


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True, allow_inf_nan=False)


class Preparation(_Section):
    """How pictures are made uniform before training."""

    size: PositiveInt | None = Field(None, description="height and width in pixels; null keeps the data set's")
    fit: Literal["crop", "resize", "pad"] = Field(
        "crop", description="cut the centre square and scale it; stretch; or pad with black"
    )
    channels: Literal[1, 3] | None = Field(None, description="1 grey, 3 RGB; null keeps the data set's")
    limit: PositiveInt | None = Field(None, description="use at most this many pictures of each split")


class Training(_Section):
    """How the network is trained."""

    steps: NonNegativeInt = Field(10_000, description="optimizer steps; 0 for a network that was imported")
    batch: PositiveInt = Field(64, description="pictures a step")
    lr: PositiveFloat = Field(2e-4, description="learning rate of Adam, after the warm-up")
    betas: tuple[Decay, Decay] = Field((0.9, 0.999), description="Adam's decays of the moments")
    weight_decay: float = Field(0.0, ge=0, description="decoupled weight decay (AdamW)")
    warmup: NonNegativeInt = Field(0, description="steps over which the learning rate rises linearly")
    decay: Literal["constant", "linear", "cosine"] = Field(
        "constant", description="how the learning rate goes to zero after the warm-up"
    )
    clip_norm: PositiveFloat | None = Field(1.0, description="largest norm of the gradient; null never clips")
    ema: Decay | Annotated[tuple[Decay, ...], Field(min_length=1)] | None = Field(
        0.9999, description="decay of the averaged weights, or several, of which the first is used; null keeps none"
    )
    accumulate: PositiveInt = Field(1, description="split a batch into this many parts, to save memory")
    flip: bool = Field(False, description="mirror half of the pictures, at random")
    times: Literal["uniform", "antithetic", "importance"] = Field(
        "uniform",
        description="how steps are drawn; antithetic pairs t with T-1-t; importance goes by the losses so far, "
        "which steadies the full bound",
    )
    self_condition: bool = Field(
        False, description="show the network the x0 that it saw a step earlier (Chen et al. 2023, analog bits)"
    )
    low_resolution: PositiveInt | None = Field(
        None,
        description="super-resolution: pixels of the shorter side of a small picture that the network is shown and "
        "learns to enlarge",
    )
    offset_noise: float = Field(0.0, ge=0, description="noise shared by a whole channel, as a share of the noise")
    labels: bool = Field(False, description="tell the network the class of each picture")
    label_dropout: float = Field(0.1, ge=0, lt=1, description="share of labels hidden, for guidance")
    precision: Literal["auto", "fp32", "bf16"] = Field(
        "auto", description="what the network computes in; auto takes bf16 where the machine is fast at it"
    )
    compile: bool = Field(False, description="use torch.compile")
    log_every: PositiveInt = Field(50, description="steps between two lines of the journal")
    save_every: PositiveInt = Field(1000, description="steps between two checkpoints")
    save_seconds: PositiveFloat | None = Field(
        600, description="most seconds between two checkpoints, where steps are slow; null counts steps alone"
    )
    grid_every: PositiveInt | None = Field(None, description="steps between two sample grids; null draws none")
    keep: PositiveInt = Field(2, description="checkpoints that are kept")

    @field_validator("ema")
    @classmethod
    def _told_apart(cls, ema: Any) -> Any:
        if isinstance(ema, tuple) and len(set(ema)) < len(ema):
            raise ValueError(f"expected decays that differ; got {', '.join(map(str, ema))}")
        return ema

    @property
    def decays(self) -> tuple[float, ...]:
        """The decays of all averaged weights; empty for none."""
        return () if self.ema is None else self.ema if isinstance(self.ema, tuple) else (self.ema,)


class Sampling(_Section):
    """How pictures are drawn from the trained network."""

    samplers: tuple[SamplerRef, ...] = Field(_named(("ddim",)), description="samplers to compare")
    count: PositiveInt = Field(64, description="pictures of each sampler")
    batch: PositiveInt | None = Field(None, description="pictures at once; null lets the machine decide")
    clip: PositiveFloat | None = Field(1.0, description="bound of the predicted picture; null never clips")
    ema: bool | Decay = Field(True, description="use the averaged weights; a number says of which decay")
    labels: Literal["balanced", "none"] = Field(
        "balanced", description="classes of the pictures, where the network knows labels: each in turn, or hidden"
    )

    @field_validator("samplers")
    @classmethod
    def _some_that_differ(cls, samplers: tuple[Sampler, ...]) -> tuple[Sampler, ...]:
        if not samplers:
            raise ValueError("expected at least one sampler; got none")
        return _told_apart(samplers)


class Evaluation(_Section):
    """What the pictures are compared by."""

    features: FeaturesRef = Field(_named("efficientnet-lite0"), description="the feature network")
    metrics: tuple[MetricRef, ...] = Field(_named(("frechet", "kid")), description="metrics to compute")
    baselines: bool = Field(True, description="add the rows of real held-out pictures and of pure noise")


class Experiment(_Section):
    """One experiment. Two equal experiments give the same pictures on the same machine."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$", description="names its folder and its runs")
    seed: NonNegativeInt = Field(0, description="seed of everything random")
    threads: PositiveInt | None = Field(
        None, description="CPU threads; 1 is best for tiny networks beside other work; null takes a thread a core"
    )
    dataset: DatasetRef
    preparation: Preparation = Field(default_factory=_defaults)
    schedule: ScheduleRef = Field(_named("linear"), description="noise schedule")
    timesteps: int = Field(1000, ge=1, le=100_000, description="T, the steps of the forward process")
    objective: ObjectiveRef = Field(_named("eps"), description="what the network predicts")
    backbone: BackboneRef = Field(_named("small"), description="the network")
    training: Training = Field(default_factory=_defaults)
    sampling: Sampling = Field(default_factory=_defaults)
    evaluation: Evaluation = Field(default_factory=_defaults)

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
        if objective.needs_signal and "schedule" in info.data and info.data["schedule"].ends_in_noise:
            raise ValueError(
                f"expected one that works without signal, such as v or x0; got {objective.name}: the schedule ends "
                "in pure noise, from which predicted noise leads to no picture (x0 = (x_t - sigma eps) / 0)"
            )
        return objective

    @field_validator("sampling")
    @classmethod
    def _takes_at_most_all_steps_by_default(cls, sampling: Sampling, info: ValidationInfo) -> Sampling:
        """A sampler whose default is longer than the process takes all its steps; steps that are given stay."""
        most = info.data.get("timesteps")
        if most is None or all(sampler.steps <= most for sampler in sampling.samplers):
            return sampling
        samplers = tuple(
            sampler.model_copy(update={"steps": most})
            if sampler.steps > most and "steps" not in sampler.model_fields_set
            else sampler
            for sampler in sampling.samplers
        )
        return sampling.model_copy(update={"samplers": _told_apart(samplers)})

    @field_validator("sampling")
    @classmethod
    def _walks_on_trained_steps(cls, sampling: Sampling, info: ValidationInfo) -> Sampling:
        problems = []
        decays = info.data["training"].decays if "training" in info.data else ()
        if not isinstance(sampling.ema, bool) and decays and sampling.ema not in decays:
            known = ", ".join(map(str, decays))
            problems.append(Problem("ema", f"expected a decay of training.ema, {known}; got {sampling.ema}"))
        for index, sampler in enumerate(sampling.samplers if "timesteps" in info.data else ()):
            try:
                timesteps = info.data["timesteps"]
                # whether there is such a walk does not hang on the schedule: any rising ratios will do
                descending(timesteps, sampler.steps, sampler.spacing, range(1, timesteps + 1))
            except ValueError as error:
                option, _, message = str(error).partition(": ")
                problems.append(Problem(f"samplers.{index}.{option}", message))
            if sampler.guidance and "training" in info.data and not info.data["training"].labels:
                path = f"samplers.{index}.guidance"
                problems.append(
                    Problem(path, "needs training.labels=true: a network without labels has no guidance")
                )
            objective = info.data.get("objective")
            if sampler.needs_learned_variance and objective is not None and objective.outputs == 1:
                problems.append(
                    Problem(f"samplers.{index}", "needs objective.bound=hybrid or full, which learn the variance")
                )
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
