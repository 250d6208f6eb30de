"""The plugins of a checkpoint, from the packages that provided them at training."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pydantic_core import PydanticCustomError

from noisette.code_changes import find_changed_plugins
from noisette.config.reference import make_plugin
from noisette.contracts import Plugin
from noisette.errors import CheckpointError, PluginError
from noisette.plugins.registry import UNKNOWN, iter_plugins, registry

if TYPE_CHECKING:
    from noisette.checkpoint import Checkpoint
    from noisette.config import Experiment

__all__ = ["load_plugin", "require_registered"]

log = logging.getLogger(__name__)


def require_registered(experiment: Experiment) -> None:
    """Refuse plugins that could not be found by name when the checkpoint is loaded.

    Raises:
        PluginError: if the class of a plugin is not registered.
    """
    for plugin in iter_plugins([experiment.schedule, experiment.objective, experiment.backbone]):
        if all(found.plugin is not type(plugin) for found in registry().found):
            name = type(plugin).__qualname__
            raise PluginError(
                f"{plugin.kind} {plugin.name!r}: expected a class of an installed package; got {name}; as a "
                f"checkpoint stores only the name, call noisette.register({name}) before training, and in every "
                "program that loads the network"
            )


def load_plugin(checkpoint: Checkpoint, kind: str) -> Plugin:
    """Make a plugin of the trained experiment, from the package that provided it at training.

    Raises:
        CheckpointError: if the package is missing, or does not provide the plugin with these options.
    """
    options: dict[str, Any] = checkpoint.about["experiment"][kind]
    origin = _origin(checkpoint, kind)
    try:
        plugin = make_plugin(kind, {**options, "name": _qualified_name(origin)})
    except PydanticCustomError as error:
        problems = "; ".join(str(problem) for problem in (error.context or {})["problems"])
        raise CheckpointError(
            f"{checkpoint.directory}: needs the {kind} {origin['name']!r} {_describe_origin(origin)}: {problems}"
            + _install_hint(_find_missing(checkpoint) or [origin])
        ) from None
    for name in find_changed_plugins(registry().origins_of([plugin]), checkpoint.about["plugins"]):
        log.warning("%s: the code of %s has changed since it was trained", checkpoint.directory, name)
    return plugin


def _origin(checkpoint: Checkpoint, kind: str) -> dict[str, str]:
    origins: list[dict[str, str]] = checkpoint.about["plugins"]
    for origin in origins:
        if origin["kind"] == kind:
            return origin
    raise CheckpointError(f"{checkpoint.directory}: expected the origin of its {kind} in the manifest; got none")


def _qualified_name(origin: Mapping[str, str]) -> str:
    """Return the name of the plugin with its package, or the bare name without a package."""
    package, name = origin["distribution"], origin["name"]
    return name if package == UNKNOWN else f"{package}:{name}"


def _describe_origin(origin: Mapping[str, str]) -> str:
    if origin["distribution"] != UNKNOWN:
        return f"of {origin['distribution']} {origin['version']}"
    return "of a script or notebook, which must define the class and call noisette.register(CLASS) first"


def _find_missing(checkpoint: Checkpoint) -> list[dict[str, str]]:
    """Return the origins of plugins that are not installed, nested ones included."""
    installed = {(found.plugin.kind, found.plugin.name, found.origin.distribution) for found in registry().found}
    wanted = ("kind", "name", "distribution")
    return [o for o in checkpoint.about["plugins"] if tuple(o[key] for key in wanted) not in installed]


def _install_hint(origins: Sequence[Mapping[str, str]]) -> str:
    packages = {f"{o['distribution']}=={o['version']}": None for o in origins if o["distribution"] != UNKNOWN}
    return f"; install the packages of the training: pip install {' '.join(packages)}" if packages else ""
