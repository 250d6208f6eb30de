"""Lines in a plugin's own code: the line that raised an error, or the method that a check tests."""

from __future__ import annotations

import inspect
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

from noisette.contracts import KINDS, Plugin

__all__ = ["find_class_line", "find_method_line", "find_raising_line"]

_MAIN_METHODS = {
    "schedule": "betas",
    "objective": "predict",
    "backbone": "build",
    "sampler": "trajectory",
    "features": "load",
    "metric": "compute",
    "dataset": "examples",
}
"""The method that most checks of each kind test."""


def find_raising_line(trace: TracebackType | None, plugin: Plugin) -> str:
    """Return ``file:line`` of the innermost call in the plugin's own package; empty if there is none.

    Libraries and noisette itself are left out, even if the error was raised there: the author can only fix the
    plugin. The package of the class comes before those of its base classes.
    """
    frames = traceback.extract_tb(trace)
    for place in _own_paths(type(plugin)):
        found = [frame for frame in frames if frame.filename.startswith(place)]
        if found:
            return f"{found[-1].filename}:{found[-1].lineno}"
    return ""


def find_method_line(plugin: Plugin, method: str | None = None) -> str:
    """Return ``file:line (method)`` of a plugin's method, or of its class if the method is inherited.

    Args:
        plugin: the plugin.
        method: name of the method; by default the one that most checks of the kind test.
    """
    cls = type(plugin)
    method = method or _MAIN_METHODS.get(plugin.kind, "")
    function = vars(cls).get(method)
    function = function.fget if isinstance(function, property) else function
    if inspect.isfunction(function):
        return f"{function.__code__.co_filename}:{function.__code__.co_firstlineno} ({method})"
    return find_class_line(cls)


def find_class_line(cls: type[Plugin]) -> str:
    """Return ``file:line (class name)``; empty for a class that was defined interactively."""
    try:
        return f"{inspect.getsourcefile(cls)}:{inspect.getsourcelines(cls)[1]} (class {cls.__name__})"
    except (OSError, TypeError):
        return ""


def _own_paths(cls: type[Plugin]) -> Iterator[str]:
    """Yield the folders of the packages, or the files of the modules, of the class and its bases."""
    contracts = (Plugin, *KINDS.values())
    for base in cls.__mro__:
        if issubclass(base, Plugin) and base not in contracts:
            module = sys.modules.get(base.__module__)
            top = sys.modules.get(base.__module__.partition(".")[0])
            yield from (f"{Path(folder)}/" for folder in getattr(top, "__path__", ()))
            yield str(getattr(module, "__file__", None) or "<no file>")
