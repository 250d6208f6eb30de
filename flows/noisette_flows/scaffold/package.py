"""Writing a package from templates.

Templates are files in `templates`, filled in by `string.Template`. Those of the kind become the package's module,
those of `package` are the same for every kind, and `hooks-package` has the differences for packages without a
plugin.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from importlib.metadata import version
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from string import Template

from noisette import StorageError
from noisette_flows.scaffold.names import HOOKS, Names

__all__ = ["write_package"]

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
    """Return the names that a module uses."""
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
