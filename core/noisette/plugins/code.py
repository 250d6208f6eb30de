"""A hash of the code of a plugin, so that an edited plugin gives new results.

The code of a class is the module that defines it and all modules of the same top-level package that it imports,
directly or indirectly, also inside functions. It is read from source; nothing is imported. The syntax tree is
hashed, so comments, formatting, docstrings and the descriptions of options do not count; nor do the names in
`Plugin.excluded_from_key`, imports for type checkers, and the `__init__` of parent packages. For a class of a
script or a notebook, its bytecode is hashed instead; see `runtime_code`.

Hashes are cached in `cache_directory` by the content of the file.
"""

from __future__ import annotations

import ast
import dis
import json
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from hashlib import blake2b
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import find_spec
from types import CodeType, FunctionType
from typing import Any

from noisette.contracts import Plugin
from noisette.errors import StorageError
from noisette.storage import atomic_write, cache_directory, digest

__all__ = ["code_of", "runtime_code"]

_PLAIN = (str, bytes, int, float, complex, bool, type(None))


def runtime_code(plugin: type) -> dict[str, Any]:
    """Return the bytecode and values of a class and of all that it uses, by name, as JSON values."""
    found: dict[str, Any] = {}
    pending: list[type | FunctionType] = [plugin]
    while pending:
        thing = pending.pop()
        if thing.__qualname__ in found:
            continue
        functions = dict(_functions_of(thing))
        found[thing.__qualname__] = {name: _instructions(one.__code__) for name, one in functions.items()}
        for used, value in (pair for one in functions.values() for pair in _used_values(one)):
            if isinstance(value, type | FunctionType) and value.__module__ == plugin.__module__:
                pending.append(value)
            elif _is_plain(value):
                found[f"{used}="] = repr(value)
        if isinstance(thing, type):
            pending += [base for base in thing.__bases__ if base.__module__ == plugin.__module__]
            found |= {f"{thing.__qualname__}.{name}=": value for name, value in _class_values(thing).items()}
    return found


def _functions_of(thing: type | FunctionType) -> Iterator[tuple[str, FunctionType]]:
    """Yield the functions of a class or function, including decorated ones."""
    parts = vars(thing) if isinstance(thing, type) else {"": thing}
    for name, part in parts.items():
        for function in (
            part,
            *(getattr(part, word, None) for word in ("__func__", "fget", "func", "__wrapped__")),
        ):
            if isinstance(function, FunctionType):
                yield name, function


@cache
def _class_values(plugin: type) -> dict[str, str]:
    """Return the plain values of a class at the first call; a list may grow later."""
    own = {name: value for name, value in vars(plugin).items() if not name.startswith("_")}
    return {name: repr(value) for name, value in own.items() if _is_plain(value)}


def _is_plain(value: Any) -> bool:
    return isinstance(value, _PLAIN) or (isinstance(value, tuple | list) and all(map(_is_plain, value)))


def _used_values(function: FunctionType) -> Iterator[tuple[str, Any]]:
    """Yield the globals, closure values and defaults of a function."""
    cells = zip(function.__code__.co_freevars, function.__closure__ or (), strict=True)
    for name, cell in cells:
        yield name, getattr(cell, "cell_contents", None) if cell is not None else None
    yield f"{function.__qualname__} defaults", function.__defaults__ or ()
    for name in _global_names(function.__code__):
        if name in function.__globals__:
            yield name, function.__globals__[name]


def _global_names(code: CodeType) -> Iterator[str]:
    yield from code.co_names
    for inner in code.co_consts:
        if isinstance(inner, CodeType):
            yield from _global_names(inner)


def _instructions(code: CodeType) -> list[Any]:
    """Return the instructions of a function."""
    return [[one.opname, _instruction_argument(one.argval)] for one in dis.get_instructions(code)]


def _instruction_argument(value: Any) -> Any:
    if isinstance(value, CodeType):
        return _instructions(value)
    return sorted(map(repr, value)) if isinstance(value, frozenset) else repr(value)


_VERSION = 1
_CONTRACTS = Plugin.__module__.partition(".")[0]


def code_of(plugin: type[Plugin]) -> str:
    """Return ten hexadecimal digits that change with the code of a plugin class.

    The code includes that of base classes in other packages.
    """
    bases = [base for base in plugin.__mro__ if issubclass(base, Plugin) and _top(base.__module__) != _CONTRACTS]
    return digest([_of_class(base) for base in bases])


def _of_class(plugin: type[Plugin]) -> Any:
    module = sys.modules.get(plugin.__module__)
    if plugin.__module__ == "__main__" or getattr(module, "__spec__", None) is None:
        return runtime_code(plugin)
    if "<locals>" in plugin.__qualname__:  # made by a function, maybe with other values
        return [_of_module(plugin), runtime_code(plugin)]
    return _of_module(plugin)


@cache
def _of_module(plugin: type[Plugin]) -> dict[str, str]:
    """Return the hash of every module of a class's code, as of the first call."""
    found: dict[str, str] = {}
    pending = [plugin.__module__]
    while pending:
        name = pending.pop()
        spec = None if name in found else _spec(name)
        if spec is not None:
            module = _load_module(spec, plugin.excluded_from_key)
            found[name] = module.code
            pending += _imported_modules(spec, module, _top(name))
    return found


def _top(name: str) -> str:
    return name.partition(".")[0]


def _spec(name: str) -> ModuleSpec | None:
    """Return the spec of a module without importing it or its packages."""
    spec = getattr(sys.modules.get(name), "__spec__", None)
    if isinstance(spec, ModuleSpec):
        return spec
    parent, _, _ = name.rpartition(".")
    if not parent:
        return find_spec(name)
    package = _spec(parent)
    places = package.submodule_search_locations if package is not None else None
    return PathFinder.find_spec(name, list(places)) if places else None


@dataclass(frozen=True)
class _Module:
    """The hash of a module's syntax tree, and its imports: level, module name, and imported names."""

    code: str
    imports: list[tuple[int, str, list[str]]]


def _imported_modules(spec: ModuleSpec, module: _Module, top: str) -> Iterator[str]:
    """Yield the full names of the modules of the package `top` that a module imports."""
    package = spec.name if spec.submodule_search_locations is not None else spec.name.rpartition(".")[0]
    for level, name, taken in module.imports:
        base = package.split(".")[: len(package.split(".")) + 1 - level] if level else []
        full = ".".join([*base, *([name] if name else [])])
        if _top(full) != top:
            continue
        inner = {word: _spec(f"{full}.{word}") for word in taken}
        yield from (found.name for found in inner.values() if found is not None)
        if not taken or None in inner.values():
            yield full


def _load_module(spec: ModuleSpec, without: tuple[str, ...]) -> _Module:
    content = _read_source(spec)
    if not (spec.origin or "").endswith(".py"):
        return _Module(blake2b(content, digest_size=8).hexdigest(), [])
    salt = f"{_VERSION} {' '.join(without)}\0".encode()
    cached = cache_directory() / "code" / blake2b(salt + content, digest_size=16).hexdigest()
    with suppress(OSError, ValueError, TypeError):
        return _Module(**json.loads(cached.read_text(encoding="utf-8")))
    module = _parse(content, without)
    with suppress(OSError, StorageError), atomic_write(cached) as temporary:
        temporary.write_text(json.dumps(vars(module)), encoding="utf-8")
    return module


def _read_source(spec: ModuleSpec) -> bytes:
    """Return the content of a module's file, also in an archive; empty for a package without a file."""
    get_data = getattr(spec.loader, "get_data", None)
    with suppress(OSError):
        if get_data is not None and spec.origin:
            return bytes(get_data(spec.origin))
    return b""


def _parse(content: bytes, without: tuple[str, ...]) -> _Module:
    try:
        tree = ast.parse(content)
    except (SyntaxError, ValueError, RecursionError):  # such as a module for another Python version
        return _Module(blake2b(content, digest_size=8).hexdigest(), [])
    for node in tree.body:
        if isinstance(node, ast.ClassDef):
            node.body = [one for one in node.body if _defined_name(one) not in without]
    text = json.dumps(_tree_to_json(tree), separators=(",", ":"))
    return _Module(blake2b(text.encode(errors="surrogatepass"), digest_size=8).hexdigest(), list(_imports(tree)))


def _defined_name(node: ast.stmt) -> str:
    """Return the name of the function or annotated variable that a statement defines, or nothing."""
    name = getattr(node, "name", getattr(getattr(node, "target", None), "id", ""))
    return str(name)


def _tree_to_json(node: Any) -> Any:
    """Return a syntax tree as JSON values that do not depend on the version of Python."""
    if isinstance(node, list):
        return [_tree_to_json(one) for one in node if not _is_docstring(one)]
    if not isinstance(node, ast.AST):
        return node if isinstance(node, str | int | None) else repr(node)
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Field":
        node.keywords = [keyword for keyword in node.keywords if keyword.arg != "description"]
    fields = {name: value for name, value in ast.iter_fields(node) if value not in (None, []) and name != "ctx"}
    return [type(node).__name__, {name: _tree_to_json(value) for name, value in fields.items()}]


def _is_docstring(node: Any) -> bool:
    """Return whether a statement is a constant, such as a docstring."""
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def _imports(tree: ast.AST) -> Iterator[tuple[int, str, list[str]]]:
    """Yield the imports of a module, without those under `TYPE_CHECKING`."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import):
            yield from ((0, alias.name, []) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.level, node.module or "", [alias.name for alias in node.names]
        elif isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            yield from _imports(ast.Module(node.orelse, []))
        else:
            yield from _imports(node)
