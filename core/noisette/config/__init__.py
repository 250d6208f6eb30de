"""Configs: from YAML and overrides to a valid `Experiment`, or to all that is wrong with them at once."""

from __future__ import annotations

from noisette.config.experiment import Experiment
from noisette.config.figures import Figure
from noisette.config.figures_only import FiguresConfig, load, parse
from noisette.config.overrides import apply_overrides
from noisette.config.reference import (
    BackboneRef,
    DatasetRef,
    FeaturesRef,
    MetricRef,
    ObjectiveRef,
    SamplerRef,
    ScheduleRef,
)
from noisette.config.sections import Evaluation, Preparation, Sampling
from noisette.config.training import Training
from noisette.config.yaml import read_yaml

__all__ = [
    "BackboneRef",
    "DatasetRef",
    "Evaluation",
    "Experiment",
    "FeaturesRef",
    "Figure",
    "FiguresConfig",
    "MetricRef",
    "ObjectiveRef",
    "Preparation",
    "SamplerRef",
    "Sampling",
    "ScheduleRef",
    "Training",
    "apply_overrides",
    "load",
    "parse",
    "read_yaml",
]
