"""Names of a new plugin and its package, derived from its kind and name."""

from __future__ import annotations

import keyword
import re
from collections.abc import Collection
from dataclasses import dataclass
from importlib.metadata import distributions
from importlib.util import find_spec

from noisette import PluginError, registry
from noisette.contracts import KINDS

__all__ = ["HOOKS", "Names"]

HOOKS = "hooks"
"""The kind of a package that has lifecycle hooks instead of a plugin."""

_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_LONGEST = 40


@dataclass(frozen=True)
class Names:
    """The names of a new package.

    Attributes:
        kind: the kind of its plugin, or `HOOKS`.
        name: name of the plugin in configs, or of the hooks: lower case with dashes.
    """

    kind: str
    name: str

    @classmethod
    def free(cls, kind: str, name: str) -> Names:
        """Return names that do not conflict with installed packages.

        Raises:
            PluginError: if the name is invalid, or is used by a plugin, a package or a module.
        """
        if not _NAME.fullmatch(name) or len(name) > _LONGEST:
            raise PluginError(
                f"expected a name of at most {_LONGEST} lower-case letters, digits and single dashes that begins "
                f"with a letter, such as {_suggest_name(name)!r}; got {name!r}"
            )
        names = cls(kind, name)
        taken = names._taken_by()
        if taken:
            raise PluginError(f"no {kind} can be called {name!r}: {taken}; choose another name")
        return names

    @property
    def distribution(self) -> str:
        """The name of the package for pip."""
        return f"noisette-{self.name}"

    @property
    def module(self) -> str:
        """The name of the module to import."""
        return self.distribution.replace("-", "_")

    def class_name(self, used: Collection[str]) -> str:
        """Return the name of the plugin's class in a module that already uses some names."""
        camel = "".join(word.capitalize() for word in self.name.split("-"))
        if self.kind in KINDS and (keyword.iskeyword(camel) or camel in used):
            return camel + KINDS[self.kind].__name__
        return camel

    def _taken_by(self) -> str:
        """Return what already uses one of the names; empty if nothing does."""
        for found in registry().of_kind(self.kind):
            if found.plugin.name == self.name:
                return f"{found.origin.distribution} {found.origin.version} gives one of that name"
        for other in distributions(name=self.distribution):  # in any spelling
            return f"its package would be {self.distribution}, and {other.name} {other.version} is installed"
        if find_spec(self.module) is not None:
            return f"its module would be {self.module}, and there is one of that name"
        return ""


def _suggest_name(name: str) -> str:
    """Return the nearest valid name."""
    words = re.findall(r"[a-z0-9]+", re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "-", name).lower())
    joined = "-".join(words)[:_LONGEST].strip("-")
    return joined if _NAME.fullmatch(joined) else "my-plugin"
