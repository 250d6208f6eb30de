"""The plugins that a checkpoint was made with: from the same packages, or a message that says which to install."""

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
    """Refuse plugins whose names will not find them when the checkpoint is loaded.

    Raises:
        PluginError: naming the class, and what to do.
    """
    for plugin in iter_plugins([experiment.schedule, experiment.objective, experiment.backbone]):
        if all(found.plugin is not type(plugin) for found in registry().found):
            name = type(plugin).__qualname__
            raise PluginError(
                f"{plugin.kind} {plugin.name!r}: its class {name} is of no installed package. A checkpoint stores "
                f"the name alone, so the trained network could not be loaded. Call noisette.register({name}) "
                "before training, and in every program that loads the network"
            )


def load_plugin(checkpoint: Checkpoint, kind: str) -> Plugin:
    """Make a plugin of the experiment that was trained, from the package that gave it then.

    Raises:
        CheckpointError: if the package does not give it any more, or not with these options; names the package.
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
    raise CheckpointError(f"{checkpoint.directory}: expected it to say where its {kind} came from; it does not")


def _qualified_name(origin: Mapping[str, str]) -> str:
    """Return the name that means the plugin of this package, or the bare one if none offered it."""
    package, name = origin["distribution"], origin["name"]
    return name if package == UNKNOWN else f"{package}:{name}"


def _describe_origin(origin: Mapping[str, str]) -> str:
    if origin["distribution"] != UNKNOWN:
        return f"of {origin['distribution']} {origin['version']}"
    return "of a script or notebook, which must define the class and call noisette.register(CLASS) first"


def _find_missing(checkpoint: Checkpoint) -> list[dict[str, str]]:
    """Return the origins of the plugins that are not installed, those inside others too."""
    there = {(found.plugin.kind, found.plugin.name, found.origin.distribution) for found in registry().found}
    wanted = ("kind", "name", "distribution")
    return [o for o in checkpoint.about["plugins"] if tuple(o[key] for key in wanted) not in there]


def _install_hint(origins: Sequence[Mapping[str, str]]) -> str:
    packages = {f"{o['distribution']}=={o['version']}": None for o in origins if o["distribution"] != UNKNOWN}
    return f". What it was made with: pip install {' '.join(packages)}" if packages else ""
