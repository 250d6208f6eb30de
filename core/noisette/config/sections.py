"""The sections about pictures: how they are prepared, drawn, and compared."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, PositiveFloat, PositiveInt, field_validator

from noisette.config.document import Decay, Section, named
from noisette.config.reference import FeaturesRef, MetricRef, SamplerRef
from noisette.contracts import Sampler

__all__ = ["Evaluation", "Preparation", "Sampling", "told_apart"]


class Preparation(Section):
    """How pictures are made uniform before training."""

    size: PositiveInt | None = Field(None, description="height and width in pixels; null keeps the data set's")
    fit: Literal["crop", "resize", "pad"] = Field(
        "crop", description="cut the centre square and scale it; stretch; or pad with black"
    )
    channels: Literal[1, 3] | None = Field(None, description="1 grey, 3 RGB; null keeps the data set's")
    limit: PositiveInt | None = Field(None, description="use at most this many pictures of each split")


class Sampling(Section):
    """How pictures are drawn from the trained network."""

    samplers: tuple[SamplerRef, ...] = Field(named(("ddim",)), description="samplers to compare")
    num_images: PositiveInt = Field(64, description="pictures of each sampler")
    batch_size: PositiveInt | None = Field(None, description="pictures at once; null lets the machine decide")
    clip_x0: PositiveFloat | None = Field(1.0, description="bound of the predicted picture; null never clips")
    ema: bool | Decay = Field(True, description="use the averaged weights; a number says of which decay")
    labels: Literal["balanced", "none"] = Field(
        "balanced", description="classes of the pictures, where the network knows labels: each in turn, or hidden"
    )

    @field_validator("samplers")
    @classmethod
    def _some_that_differ(cls, samplers: tuple[Sampler, ...]) -> tuple[Sampler, ...]:
        if not samplers:
            raise ValueError("expected at least one sampler; got none")
        return told_apart(samplers)


class Evaluation(Section):
    """What the pictures are compared by."""

    features: FeaturesRef = Field(named("efficientnet-lite0"), description="the feature network")
    metrics: tuple[MetricRef, ...] = Field(named(("frechet", "kid")), description="metrics to compute")
    baselines: bool = Field(True, description="add the rows of real held-out pictures and of pure noise")


def told_apart(samplers: tuple[Sampler, ...]) -> tuple[Sampler, ...]:
    """Return samplers whose labels differ.

    Raises:
        ValueError: naming the labels that come twice.
    """
    labels = [sampler.label for sampler in samplers]
    twice = sorted({label for label in labels if labels.count(label) > 1})
    if twice:
        raise ValueError(f"expected samplers that differ in name or options; got {', '.join(twice)} twice")
    return samplers
