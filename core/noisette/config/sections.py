"""The sections for preparing, sampling and evaluating images."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, PositiveFloat, PositiveInt, field_validator

from noisette.config.document import Decay, Section, plugin_default
from noisette.config.reference import FeaturesRef, MetricRef, SamplerRef
from noisette.contracts import Sampler

__all__ = ["Evaluation", "Preparation", "Sampling", "check_unique_labels"]


class Preparation(Section):
    """How images are made uniform before training."""

    size: PositiveInt | None = Field(None, description="height and width in pixels; null: the dataset's")
    fit: Literal["crop", "resize", "pad"] = Field(
        "crop", description="crop the centre square and scale it; stretch; or pad with black"
    )
    channels: Literal[1, 3] | None = Field(None, description="1 grey, 3 RGB; null: the dataset's")
    limit: PositiveInt | None = Field(None, description="use at most this many images of each split")


class Sampling(Section):
    """How images are sampled from the trained network."""

    samplers: tuple[SamplerRef, ...] = Field(plugin_default(("ddim",)), description="samplers to compare")
    num_images: PositiveInt = Field(64, description="images of each sampler")
    batch_size: PositiveInt | None = Field(None, description="images per batch; null: chosen for the device")
    clip_x0: PositiveFloat | None = Field(1.0, description="bound of the predicted x0; null: no clipping")
    ema: bool | Decay = Field(True, description="use the averaged weights; a number selects their decay")
    labels: Literal["balanced", "none"] = Field(
        "balanced", description="labels of a class-conditional network: each class in turn, or none"
    )

    @field_validator("samplers")
    @classmethod
    def _check_samplers(cls, samplers: tuple[Sampler, ...]) -> tuple[Sampler, ...]:
        if not samplers:
            raise ValueError("expected at least one sampler; got none")
        return check_unique_labels(samplers)


class Evaluation(Section):
    """How the images are evaluated."""

    features: FeaturesRef = Field(plugin_default("efficientnet-lite0"), description="the feature network")
    metrics: tuple[MetricRef, ...] = Field(plugin_default(("frechet", "kid")), description="metrics to compute")
    baselines: bool = Field(True, description="add rows for real held-out images and for pure noise")


def check_unique_labels(samplers: tuple[Sampler, ...]) -> tuple[Sampler, ...]:
    """Return samplers whose labels differ.

    Raises:
        ValueError: with the labels that occur twice.
    """
    labels = [sampler.label for sampler in samplers]
    twice = sorted({label for label in labels if labels.count(label) > 1})
    if twice:
        raise ValueError(f"expected samplers that differ in name or options; got {', '.join(twice)} twice")
    return samplers
