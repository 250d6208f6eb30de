"""New packages of plugins, written from templates.

Templates are files in `templates`, filled in by `string.Template`. Those of the kind become the package's module,
those of `package` are the same for every kind, and `hooks-package` has the differences for packages without a
plugin.
"""

from __future__ import annotations

import ast
import keyword
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from importlib.metadata import distributions, version
from importlib.resources import files
from importlib.resources.abc import Traversable
from importlib.util import find_spec
from pathlib import Path
from string import Template

from noisette import PluginError, StorageError, registry
from noisette.contracts import KINDS

__all__ = ["HOOKS", "Names", "write_package"]

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
    words = re.findall(r"[a-z0-9]+", re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "-", name).lower())
    joined = "-".join(words)[:_LONGEST].strip("-")
    return joined if _NAME.fullmatch(joined) else "my-plugin"


_SUFFIX = ".template"

_TESTS = Path("tests/test_module.py")
"""Renamed after the module: pytest does not accept two test modules with the same name."""

_EXAMPLES = {
    "sampler": "sampling:\n  samplers: [ddim, {name}]",
    "metric": "evaluation:\n  metrics: [frechet, {name}]",
    "features": "evaluation:\n  features: {name}",
}


def write_package(names: Names, directory: Path) -> list[Path]:
    """Write a package into `directory`/noisette-<name> and return its files.

    Raises:
        StorageError: if the folder already exists, or cannot be written.
    """
    target = directory / names.distribution
    content = _render_files(names)
    try:
        if target.exists() and (not target.is_dir() or any(target.iterdir())):
            raise StorageError(f"{target}: expected nothing there, or an empty directory; nothing was written")
        for path, text in content.items():
            (target / path).parent.mkdir(parents=True, exist_ok=True)
            (target / path).write_text(text, encoding="utf-8")
    except OSError as error:
        raise StorageError(f"{target}: cannot be written: {error.strerror or error}") from None
    return [target / path for path in content]


def _render_files(names: Names) -> dict[Path, str]:
    """Return the text of each file by its path in the package."""
    templates = files("noisette_flows.scaffold") / "templates"
    module = dict(_read_templates(templates / names.kind, Path("src") / names.module))
    package = dict(_read_templates(templates / "package", Path()))
    if names.kind == HOOKS:
        package |= _read_templates(templates / "hooks-package", Path())
    tests = package.pop(_TESTS)
    everything = {**package, _TESTS.with_name(f"test_{names.module}.py"): tests, **module}
    values = {
        "kind": names.kind,
        "name": names.name,
        "distribution": names.distribution,
        "module": names.module,
        "result": names.name.replace("-", "_"),
        "example": _EXAMPLES.get(names.kind, f"{names.kind}: {{name}}").format(name=names.name),
        "noisette": version("noisette"),
    }
    draft = [Template(text).substitute(values, class_name="_") for text in module.values()]
    used = {name for source in draft for name in _identifiers(source)}
    values["class_name"] = names.class_name(used)
    return {path: Template(text).substitute(values) for path, text in everything.items()}


def _identifiers(source: str) -> set[str]:
    nodes = list(ast.walk(ast.parse(source)))
    imported = [alias for node in nodes if isinstance(node, ast.Import | ast.ImportFrom) for alias in node.names]
    return {node.id for node in nodes if isinstance(node, ast.Name)} | {a.asname or a.name for a in imported}


def _read_templates(folder: Traversable, path: Path) -> Iterator[tuple[Path, str]]:
    """Yield the templates of a folder: the path of the output, and the text."""
    for entry in sorted(folder.iterdir(), key=lambda entry: entry.name):
        if entry.is_dir():
            yield from _read_templates(entry, path / entry.name)
        elif entry.name.endswith(_SUFFIX):
            yield path / entry.name.removesuffix(_SUFFIX), entry.read_text(encoding="utf-8")
