"""Plugins in a config: ``ddim``, or ``{name: ddim, steps: 20}``."""

from __future__ import annotations

from typing import Annotated, Any, TypeAlias

from pydantic import BeforeValidator, PlainSerializer, ValidationError

from noisette.config.problems import nest_problems, to_problems
from noisette.contracts import (
    KINDS,
    Backbone,
    Dataset,
    Features,
    Metric,
    Objective,
    Plugin,
    Sampler,
    Schedule,
)
from noisette.errors import PluginError, Problem
from noisette.plugins import registry

__all__ = [
    "BackboneRef",
    "DatasetRef",
    "FeaturesRef",
    "MetricRef",
    "ObjectiveRef",
    "SamplerRef",
    "ScheduleRef",
    "make_plugin",
]


def make_plugin(kind: str, value: Any) -> Plugin:
    """Return the plugin of an entry of a config.

    Args:
        kind: the kind of plugin.
        value: its name, a mapping of name and options, or the plugin itself.

    Raises:
        PydanticCustomError: with all problems of name and options.
    """
    if isinstance(value, KINDS[kind]):
        return value
    options = {"name": value} if isinstance(value, str) else value
    if not isinstance(options, dict) or not isinstance(options.get("name"), str):
        raise nest_problems(
            [Problem("", f"expected the name of a {kind}, or a mapping with `name`; got {value!r}")]
        )
    try:
        plugin = registry().find(kind, options["name"]).plugin
    except PluginError as error:
        raise nest_problems([Problem("", str(error))]) from None
    try:
        return plugin.model_validate({key: option for key, option in options.items() if key != "name"})
    except ValidationError as error:
        raise nest_problems(to_problems(error, plugin)) from None


def _serialize(plugin: Plugin) -> dict[str, Any]:
    return {**plugin.options(), "name": registry().name_of(plugin)}


def _plugin_validator(kind: str) -> BeforeValidator:
    return BeforeValidator(lambda value: make_plugin(kind, value))


_AS_OPTIONS = PlainSerializer(_serialize)

ScheduleRef: TypeAlias = Annotated[Schedule, _plugin_validator("schedule"), _AS_OPTIONS]
ObjectiveRef: TypeAlias = Annotated[Objective, _plugin_validator("objective"), _AS_OPTIONS]
BackboneRef: TypeAlias = Annotated[Backbone, _plugin_validator("backbone"), _AS_OPTIONS]
SamplerRef: TypeAlias = Annotated[Sampler, _plugin_validator("sampler"), _AS_OPTIONS]
FeaturesRef: TypeAlias = Annotated[Features, _plugin_validator("features"), _AS_OPTIONS]
MetricRef: TypeAlias = Annotated[Metric, _plugin_validator("metric"), _AS_OPTIONS]
DatasetRef: TypeAlias = Annotated[Dataset, _plugin_validator("dataset"), _AS_OPTIONS]
