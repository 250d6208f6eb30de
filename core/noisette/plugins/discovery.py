"""Discovery of installed plugins and of broken packages.

The entry points of the group `noisette` are loaded independently: one that fails is listed as broken, with its
distribution, version, entry point and reason.

Environment:
    NOISETTE_BLOCK_PLUGINS: comma-separated distributions or entry points that are not loaded.
    NOISETTE_STRICT_PLUGINS: if set to a value other than 0, a broken package is an error; for authors and CI.
"""

from __future__ import annotations

import logging
import os
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass, field, replace
from importlib.metadata import EntryPoint, distributions
from typing import Any

import pluggy

from noisette.contracts import API_VERSION, KINDS, Plugin
from noisette.errors import PluginError
from noisette.hooks import PROJECT, HookSpecs

__all__ = ["BrokenPlugin", "FoundPlugin", "Origin", "PluginSource", "discover", "find_fault"]

log = logging.getLogger(__name__)

_NAME = re.compile(r"[a-z0-9][a-z0-9.-]*")


@dataclass(frozen=True)
class Origin:
    """The distribution, its version, and the entry point of a plugin."""

    distribution: str
    version: str
    entry_point: str

    def __str__(self) -> str:
        return f"{self.distribution} {self.version}, entry point {self.entry_point!r}"


@dataclass(frozen=True)
class FoundPlugin:
    """A plugin class and its origin."""

    plugin: type[Plugin]
    origin: Origin


@dataclass(frozen=True)
class BrokenPlugin:
    """An entry point, or a class of it, that cannot be used, and why."""

    origin: Origin
    reason: str


@dataclass(frozen=True)
class PluginSource:
    """An entry point's object, plugins and faults."""

    origin: Origin
    module: Any = None
    found: list[FoundPlugin] = field(default_factory=list)
    broken: list[BrokenPlugin] = field(default_factory=list)

    @property
    def hooks(self) -> list[str]:
        """The names of the lifecycle hooks that it implements."""
        return [name for name in vars(HookSpecs) if name.startswith("on_") and hasattr(self.module, name)]


def discover() -> list[PluginSource]:
    """Load all entry points of the group `noisette`, ordered by distribution and name.

    Raises:
        PluginError: if NOISETTE_STRICT_PLUGINS is set and a package is broken.
    """
    found = sorted(_entry_points(), key=lambda pair: (pair[0].distribution, pair[0].entry_point))
    blocked = {_normalize(name) for name in os.environ.get("NOISETTE_BLOCK_PLUGINS", "").split(",")}
    sources = [
        _load(origin, point)
        for origin, point in found
        if not blocked & {_normalize(origin.distribution), _normalize(origin.entry_point)}
    ]
    _reject_duplicates(sources)
    faults = [f"{broken.origin}: {broken.reason}" for source in sources for broken in source.broken]
    if faults and os.environ.get("NOISETTE_STRICT_PLUGINS", "0") != "0":
        raise PluginError("broken plugins (NOISETTE_STRICT_PLUGINS is set):\n  " + "\n  ".join(faults))
    return sources


def _entry_points() -> Iterator[tuple[Origin, EntryPoint]]:
    """Yield the entry points of all distributions with readable metadata.

    `importlib.metadata.entry_points` would fail if one of them is not readable.
    """
    seen = set()
    for distribution in distributions():
        try:
            points = list(distribution.entry_points.select(group=PROJECT))
            name, version = (str(distribution.name), str(distribution.version)) if points else ("", "")
        except Exception as error:
            log.warning("the metadata of an installed package cannot be read: %r", error)
            continue
        if points and _normalize(name) not in seen:  # Python imports the first on the path
            seen.add(_normalize(name))
            yield from ((Origin(name, version, point.name), point) for point in points)


def _normalize(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name.strip()).lower()


def _load(origin: Origin, point: EntryPoint) -> PluginSource:
    source = PluginSource(origin)
    try:
        with redirect_stdout(sys.stderr):  # keep the output of packages out of JSON on stdout
            module, offered = _load_plugins(point)
            faults = [(plugin, find_fault(plugin)) for plugin in offered]
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # SystemExit, and panics of extension modules
        source.broken.append(BrokenPlugin(origin, _format_reason(error)))
        return source
    source.found.extend(FoundPlugin(plugin, origin) for plugin, fault in faults if not fault)
    source.broken.extend(BrokenPlugin(origin, fault) for _, fault in faults if fault)
    return replace(source, module=module)


def _load_plugins(point: EntryPoint) -> tuple[Any, list[Any]]:
    """Return the object of an entry point and its plugins."""
    module = point.load()
    manager = pluggy.PluginManager(PROJECT)
    manager.add_hookspecs(HookSpecs)
    manager.register(module)
    manager.check_pending()
    hooks = {caller.name for caller in manager.get_hookcallers(module) or ()}
    if not hooks:
        raise PluginError("has no function marked with @hookimpl")
    results = manager.hook.plugins()
    if "plugins" in hooks and not results:
        raise PluginError("its hook `plugins` returned None; expected it to yield classes")
    return module, [plugin for plugins in results for plugin in _check_iterable(plugins)]


def _check_iterable(plugins: Any) -> Iterable[Any]:
    if isinstance(plugins, str | type) or not isinstance(plugins, Iterable):
        raise PluginError(f"its hook `plugins` returned {plugins!r}; expected it to yield classes")
    return plugins


def _format_reason(error: BaseException) -> str:
    text = " ".join(str(error).split())
    return text if isinstance(error, PluginError) else f"{type(error).__name__}: {text}".rstrip(": ")


def _reject_duplicates(sources: Sequence[PluginSource]) -> None:
    """Refuse classes of a package with the same name, which ``distribution:name`` cannot tell apart."""
    named: dict[tuple[str, str, str], set[type[Plugin]]] = {}
    for source in sources:
        for found in source.found:
            key = (found.origin.distribution, found.plugin.kind, found.plugin.name)
            named.setdefault(key, set()).add(found.plugin)
    duplicates = {plugin for same in named.values() if len(same) > 1 for plugin in same}
    for source in sources:
        for found in [found for found in source.found if found.plugin in duplicates]:
            plugin = found.plugin
            source.found.remove(found)
            reason = f"{plugin.__name__}: its package has more than one {plugin.kind} {plugin.name!r}"
            source.broken.append(BrokenPlugin(found.origin, reason))


def find_fault(plugin: Any) -> str:
    """Return why a class is not a valid plugin; empty if it is."""
    contracts = tuple(KINDS.values())
    if not isinstance(plugin, type) or not issubclass(plugin, contracts):
        names = ", ".join(contract.__name__ for contract in contracts)
        return f"{getattr(plugin, '__name__', repr(plugin))} is not a plugin: expected a subclass of {names}"
    return next((f"{plugin.__name__}: {fault}" for fault in _contract_faults(plugin)), "")


def _contract_faults(plugin: type[Plugin]) -> Iterator[str]:
    name, kinds = getattr(plugin, "name", None), [k for k, c in KINDS.items() if issubclass(plugin, c)]
    missing = sorted(plugin.__abstractmethods__)
    if missing:
        yield f"does not implement {', '.join(missing)}"
    if kinds != [plugin.kind]:
        yield f"has kind {plugin.kind!r}; expected that of its contract, {' and '.join(kinds)}"
    if not isinstance(name, str):
        yield "has no class variable `name: ClassVar[str]`"
    elif not _NAME.fullmatch(name):
        yield f"expected a name of lower-case letters, digits, dots and dashes; got {name!r}"
    if plugin.api != API_VERSION:
        yield f"was written for version {plugin.api} of the plugin API; this noisette has {API_VERSION}"
