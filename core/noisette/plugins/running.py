"""The code of a class that no package has, as it runs: of a script, a notebook, or a test.

It is read from the functions themselves, because a script may be edited while it runs, and the text of a notebook's
cell need not be anywhere. What they use of the same script or notebook belongs to it: functions, classes and plain
values. Comments, formatting and docstrings do not count; another version of Python may count as a change.
"""

from __future__ import annotations

import dis
from collections.abc import Iterator
from functools import cache
from types import CodeType, FunctionType
from typing import Any

__all__ = ["running_code"]

_PLAIN = (str, bytes, int, float, complex, bool, type(None))


def running_code(plugin: type) -> dict[str, Any]:
    """Return what a class and all that it uses are made of, by name, as JSON values."""
    found: dict[str, Any] = {}
    pending: list[type | FunctionType] = [plugin]
    while pending:
        thing = pending.pop()
        if thing.__qualname__ in found:
            continue
        functions = dict(_functions(thing))
        found[thing.__qualname__] = {name: _instructions(one.__code__) for name, one in functions.items()}
        for used, value in (pair for one in functions.values() for pair in _used(one)):
            if isinstance(value, type | FunctionType) and value.__module__ == plugin.__module__:
                pending.append(value)
            elif _is_plain(value):
                found[f"{used}="] = repr(value)
        if isinstance(thing, type):
            pending += [base for base in thing.__bases__ if base.__module__ == plugin.__module__]
            found |= {f"{thing.__qualname__}.{name}=": value for name, value in _values(thing).items()}
    return found


def _functions(thing: type | FunctionType) -> Iterator[tuple[str, FunctionType]]:
    """Yield the functions that something is made of, those behind decorators too."""
    parts = vars(thing) if isinstance(thing, type) else {"": thing}
    for name, part in parts.items():
        for function in (
            part,
            *(getattr(part, word, None) for word in ("__func__", "fget", "func", "__wrapped__")),
        ):
            if isinstance(function, FunctionType):
                yield name, function


@cache
def _values(plugin: type) -> dict[str, str]:
    """Return the values of a class as they were when first asked for: a list may fill while it runs."""
    own = {name: value for name, value in vars(plugin).items() if not name.startswith("_")}
    return {name: repr(value) for name, value in own.items() if _is_plain(value)}


def _is_plain(value: Any) -> bool:
    return isinstance(value, _PLAIN) or (isinstance(value, tuple | list) and all(map(_is_plain, value)))


def _used(function: FunctionType) -> Iterator[tuple[str, Any]]:
    """Yield what a function uses from outside: globals, what it closes over, and its defaults."""
    cells = zip(function.__code__.co_freevars, function.__closure__ or (), strict=True)
    for name, cell in cells:
        yield name, getattr(cell, "cell_contents", None) if cell is not None else None
    yield f"{function.__qualname__} defaults", function.__defaults__ or ()
    for name in _names(function.__code__):
        if name in function.__globals__:
            yield name, function.__globals__[name]


def _names(code: CodeType) -> Iterator[str]:
    yield from code.co_names
    for inner in code.co_consts:
        if isinstance(inner, CodeType):
            yield from _names(inner)


def _instructions(code: CodeType) -> list[Any]:
    """Return what a function does; a docstring is not done."""
    return [[one.opname, _argument(one.argval)] for one in dis.get_instructions(code)]


def _argument(value: Any) -> Any:
    if isinstance(value, CodeType):
        return _instructions(value)
    return sorted(map(repr, value)) if isinstance(value, frozenset) else repr(value)
