"""The registry of plugins by kind and name."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from functools import cache
from typing import Any, TypeVar

from pydantic import BaseModel

from noisette.contracts import KINDS, Plugin
from noisette.errors import PluginError
from noisette.plugins.code import code_of
from noisette.plugins.discovery import BrokenPlugin, FoundPlugin, Origin, PluginSource, discover, find_fault

__all__ = ["UNKNOWN", "Registry", "iter_plugins", "register", "registry", "suggest"]

P = TypeVar("P", bound=Plugin)

UNKNOWN = "unknown"
"""The distribution of a plugin that is not in an installed package, such as a class in a script."""


def suggest(word: str, known: Sequence[str]) -> str:
    """Return "did you mean X?" for the nearest known word; empty if none is near."""
    close = get_close_matches(word, known, n=1, cutoff=0.5)
    return f"did you mean {close[0]!r}?" if close else ""


class Registry:
    """All plugins by kind and name.

    If several packages have a plugin of the same kind and name, a config must name one as ``distribution:name``.
    """

    def __init__(self, sources: Sequence[PluginSource]) -> None:
        self.sources = tuple(sources)

    @property
    def found(self) -> list[FoundPlugin]:
        """All valid plugins, ordered by kind and name."""
        order = {kind: index for index, kind in enumerate(KINDS)}
        everything = (found for source in self.sources for found in source.found)
        return sorted(everything, key=lambda found: (order[found.plugin.kind], found.plugin.name))

    @property
    def broken(self) -> list[BrokenPlugin]:
        """All broken plugins, in the order of discovery."""
        return [broken for source in self.sources for broken in source.broken]

    def of_kind(self, kind: str) -> list[FoundPlugin]:
        """Return the plugins of one kind."""
        return [found for found in self.found if found.plugin.kind == kind]

    def names(self, kind: str) -> list[str]:
        """Return the names of one kind's plugins."""
        return sorted({found.plugin.name for found in self.of_kind(kind)})

    def find(self, kind: str, name: str) -> FoundPlugin:
        """Return the plugin of this kind and name; `name` may be ``distribution:name``.

        Raises:
            PluginError: if there is none, or more than one.
        """
        distribution, _, bare = name.rpartition(":")
        same = self._find_all(kind, bare)
        given = [found for found in same if distribution in ("", found.origin.distribution)]
        if len(given) == 1:
            return given[0]
        raise PluginError(_ambiguous_message(given) if given else self._missing_message(kind, name, same))

    def name_of(self, plugin: Plugin) -> str:
        """Return the shortest unambiguous name of a plugin: its name or ``distribution:name``."""
        if len(self._find_all(plugin.kind, plugin.name)) < 2:
            return plugin.name
        return f"{self.origin_of(plugin)['distribution']}:{plugin.name}"

    def origin_of(self, plugin: Plugin) -> dict[str, str]:
        """Return kind, name, distribution, version and hash of the code of a plugin, as in manifests."""
        origin = next((found.origin for found in self.found if found.plugin is type(plugin)), None)
        return {
            "kind": plugin.kind,
            "name": plugin.name,
            "distribution": origin.distribution if origin else UNKNOWN,
            "version": origin.version if origin else "?",
            "code": code_of(type(plugin)),
        }

    def identity_of(self, plugin: Plugin) -> list[Any]:
        """Return the identity of a plugin in keys, as JSON values: packages, code and options.

        It includes the packages and code of plugins that are options of it.
        """
        code = [[origin["distribution"], origin["code"]] for origin in self.origins_of([plugin])]
        return [code, plugin.options()]

    def origins_of(self, plugins: Iterable[Plugin]) -> list[dict[str, str]]:
        """Return the origins of plugins, each followed by those of the plugins that are options of it."""
        origins = []
        for plugin in plugins:
            origins += [self.origin_of(plugin), *self.origins_of(_option_plugins(plugin))]
        return origins

    def add(self, plugin: type[Plugin]) -> None:
        """Add a class that is not in an installed package; it replaces an added one of the same name.

        Raises:
            PluginError: if it is not a valid plugin.
        """
        if fault := find_fault(plugin):
            raise PluginError(f"register: {fault}")
        origin = Origin(UNKNOWN, "?", plugin.__module__)
        same = (plugin.kind, plugin.name, UNKNOWN)
        others = [
            source
            for source in self.sources
            if same not in [(one.plugin.kind, one.plugin.name, one.origin.distribution) for one in source.found]
        ]
        self.sources = (*others, PluginSource(origin, found=[FoundPlugin(plugin, origin)]))

    def _find_all(self, kind: str, name: str) -> list[FoundPlugin]:
        """Return the distinct plugins of this kind and name."""
        return list({f.plugin: f for f in self.of_kind(kind) if f.plugin.name == name}.values())

    def _find_alias(self, kind: str, name: str) -> str:
        """Return a hint for a plugin with this alias; empty if there is none."""
        word = name.rpartition(":")[2].lower().replace("_", "-").replace(" ", "-")
        for found in self.of_kind(kind):
            if word in found.plugin.aliases:
                return f"did you mean {found.plugin.name!r}?"
            for features, names in getattr(found.plugin, "published_names", {}).items():
                if word in [published.replace("_", "-") for published in names.values()]:
                    return f"{word} is {found.plugin.name!r} with evaluation.features: {features}"
        return ""

    def _missing_message(self, kind: str, name: str, same: Sequence[FoundPlugin]) -> str:
        known = self.names(kind)
        parts = [f"no {kind} {name!r}; there is {', '.join(known) or 'none'}"]
        if same:
            parts = [f"no {kind} {name!r}; there is {' and '.join(_full_name(found) for found in same)}"]
        parts += [self._find_alias(kind, name) or suggest(name.rpartition(":")[2], known)]
        parts += [f"broken: {broken.origin}: {broken.reason}" for broken in self.broken]
        return "; ".join(part for part in parts if part)


def iter_plugins(value: object) -> Iterator[Plugin]:
    """Yield the plugins in a value, such as an experiment or a section of it."""
    if isinstance(value, Plugin):
        yield value
    elif isinstance(value, tuple | list | frozenset):
        for inner in value:
            yield from iter_plugins(inner)
    elif isinstance(value, Mapping):
        yield from iter_plugins(tuple(value.values()))
    elif isinstance(value, BaseModel):
        yield from _option_plugins(value)


def _option_plugins(model: BaseModel) -> Iterator[Plugin]:
    return iter_plugins([getattr(model, key) for key in type(model).model_fields])


def _ambiguous_message(same: Sequence[FoundPlugin]) -> str:
    plugin = same[0].plugin
    choices = " or ".join(_full_name(found) for found in same)
    return f"{len(same)} packages have a {plugin.kind} {plugin.name!r}: write {choices}"


def _full_name(found: FoundPlugin) -> str:
    return f"{found.origin.distribution}:{found.plugin.name}"


@cache
def registry() -> Registry:
    """Return the registry of the installed packages; they are discovered once per process."""
    return Registry(discover())


def register(plugin: type[P]) -> type[P]:
    """Register a plugin class of a script or a notebook in this process; usable as a decorator.

    A checkpoint stores names, so a network, objective or schedule must be registered to be trained, and again in
    every process that loads it. A class that is registered takes the place of one of the same kind and name that
    was registered before, such as by an earlier run of a notebook's cell.

    Raises:
        PluginError: if it is no plugin.
    """
    registry().add(plugin)
    return plugin
