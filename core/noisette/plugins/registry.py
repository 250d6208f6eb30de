"""The registry: from a name in a config to a plugin class, or to a message that helps."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches
from functools import cache

from noisette.contracts import KINDS, Plugin
from noisette.errors import PluginError
from noisette.plugins.discovery import Broken, Found, Source, discover

__all__ = ["Registry", "nearest", "registry"]


def nearest(word: str, known: Sequence[str]) -> str:
    """Return "did you mean X?" for the nearest known word, or nothing if none is near."""
    close = get_close_matches(word, known, n=1, cutoff=0.5)
    return f"did you mean {close[0]!r}?" if close else ""


class Registry:
    """All plugins by kind and name.

    Two plugins of one kind and name are both refused by that name until the config says which, as
    ``distribution:name``.
    """

    def __init__(self, sources: Sequence[Source]) -> None:
        self.sources = tuple(sources)

    @property
    def found(self) -> list[Found]:
        """All usable plugins, in the order of kinds and names."""
        order = {kind: index for index, kind in enumerate(KINDS)}
        everything = (found for source in self.sources for found in source.found)
        return sorted(everything, key=lambda found: (order[found.plugin.kind], found.plugin.name))

    @property
    def broken(self) -> list[Broken]:
        """All faults, in the order of discovery."""
        return [broken for source in self.sources for broken in source.broken]

    def of_kind(self, kind: str) -> list[Found]:
        """Return the plugins of one kind."""
        return [found for found in self.found if found.plugin.kind == kind]

    def names(self, kind: str) -> list[str]:
        """Return the names of one kind's plugins."""
        return sorted({found.plugin.name for found in self.of_kind(kind)})

    def find(self, kind: str, name: str) -> Found:
        """Return the plugin of this kind and name; `name` may be ``distribution:name``.

        Raises:
            PluginError: if there is none, or several; names the nearest, the known and the broken ones.
        """
        distribution, _, bare = name.rpartition(":")
        same = [
            found
            for found in self.of_kind(kind)
            if found.plugin.name == bare and distribution in ("", found.origin.distribution)
        ]
        if len(same) == 1:
            return same[0]
        raise PluginError(self._ambiguous(same) if same else self._missing(kind, bare))

    def origin_of(self, plugin: Plugin) -> dict[str, str]:
        """Return kind, name, distribution and version of a plugin, as checkpoints store them."""
        for found in self.found:
            if found.plugin is type(plugin):
                origin = found.origin
                break
        else:
            return {"kind": plugin.kind, "name": plugin.name, "distribution": "unknown", "version": "?"}
        return {
            "kind": plugin.kind,
            "name": plugin.name,
            "distribution": origin.distribution,
            "version": origin.version,
        }

    def _ambiguous(self, same: Sequence[Found]) -> str:
        plugin = same[0].plugin
        choices = " or ".join(f"{found.origin.distribution}:{plugin.name}" for found in same)
        return f"{len(same)} packages give a {plugin.kind} {plugin.name!r}: write {choices}"

    def _missing(self, kind: str, name: str) -> str:
        known = self.names(kind)
        parts = [f"no {kind} {name!r}; there is {', '.join(known) or 'none'}", nearest(name, known)]
        parts += [f"broken: {broken.origin}: {broken.reason}" for broken in self.broken]
        return "; ".join(part for part in parts if part)


@cache
def registry() -> Registry:
    """Return the registry of the installed packages; discovered once a process."""
    return Registry(discover())
