"""Which plugins are installed, and which packages are broken.

Every entry point of the group `noisette` is loaded on its own: one that fails is listed as broken, with its
distribution, version, entry point and reason, and the others work on.

Environment:
    NOISETTE_BLOCK_PLUGINS: comma-separated distributions or entry points that are not loaded.
    NOISETTE_STRICT_PLUGINS: if set to other than 0, any broken package is an error: for authors and CI.
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib.metadata import EntryPoint, entry_points
from typing import Any

import pluggy

from noisette.contracts import API_VERSION, KINDS, Plugin
from noisette.errors import PluginError
from noisette.hooks import PROJECT, HookSpecs

__all__ = ["Broken", "Found", "Origin", "Source", "discover"]


@dataclass(frozen=True)
class Origin:
    """Where something was found: distribution, its version, and the entry point."""

    distribution: str
    version: str
    entry_point: str

    def __str__(self) -> str:
        return f"{self.distribution} {self.version}, entry point {self.entry_point!r}"


@dataclass(frozen=True)
class Found:
    """A plugin class and where it was found."""

    plugin: type[Plugin]
    origin: Origin


@dataclass(frozen=True)
class Broken:
    """An entry point, or one class of it, that cannot be used, and why."""

    origin: Origin
    reason: str


@dataclass(frozen=True)
class Source:
    """What one entry point gave: its object (with lifecycle hooks, perhaps), plugins, and faults."""

    origin: Origin
    module: Any = None
    found: list[Found] = field(default_factory=list)
    broken: list[Broken] = field(default_factory=list)


def discover() -> list[Source]:
    """Load all entry points of the group `noisette`, ordered by distribution and name.

    Raises:
        PluginError: if NOISETTE_STRICT_PLUGINS is set and something is broken.
    """
    found = sorted(entry_points(group=PROJECT), key=lambda point: (_origin(point).distribution, point.name))
    sources = [_load(point) for point in found if not _blocked(point)]
    faults = [f"{broken.origin}: {broken.reason}" for source in sources for broken in source.broken]
    if faults and os.environ.get("NOISETTE_STRICT_PLUGINS", "0") != "0":
        raise PluginError("broken plugins (NOISETTE_STRICT_PLUGINS is set):\n  " + "\n  ".join(faults))
    return sources


def _origin(point: EntryPoint) -> Origin:
    name, version = (point.dist.name, point.dist.version) if point.dist else ("unknown", "?")
    return Origin(name, version, point.name)


def _blocked(point: EntryPoint) -> bool:
    blocked = {name.strip() for name in os.environ.get("NOISETTE_BLOCK_PLUGINS", "").split(",")}
    return bool(blocked & {point.name, _origin(point).distribution})


def _load(point: EntryPoint) -> Source:
    source = Source(_origin(point))
    try:
        module = point.load()
        manager = pluggy.PluginManager(PROJECT)
        manager.add_hookspecs(HookSpecs)
        manager.register(module)
        manager.check_pending()
        offered = [plugin for plugins in manager.hook.plugins() for plugin in plugins]
    except (Exception, SystemExit) as error:
        source.broken.append(Broken(source.origin, _reason(error)))
        return source
    for plugin in offered:
        fault = _fault(plugin)
        if fault:
            source.broken.append(Broken(source.origin, fault))
        else:
            source.found.append(Found(plugin, source.origin))
    return Source(source.origin, module, source.found, source.broken)


def _reason(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}".splitlines()[0].rstrip(": ")


def _fault(plugin: Any) -> str:
    """Return why this is no plugin, or nothing."""
    shown = getattr(plugin, "__name__", repr(plugin))
    if not (inspect.isclass(plugin) and issubclass(plugin, tuple(KINDS.values()))):
        return f"{shown} is no plugin: expected a subclass of {', '.join(c.__name__ for c in KINDS.values())}"
    return next((f"{shown}: {fault}" for fault in _contract_faults(plugin)), "")


def _contract_faults(plugin: type[Plugin]) -> Iterator[str]:
    missing = sorted(plugin.__abstractmethods__)
    if missing:
        yield f"does not implement {', '.join(missing)}"
    if not isinstance(getattr(plugin, "name", None), str):
        yield "has no class variable `name: ClassVar[str]`"
    if plugin.api != API_VERSION:
        yield f"was written for version {plugin.api} of the plugin API; this noisette has {API_VERSION}"
