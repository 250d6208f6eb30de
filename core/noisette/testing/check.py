"""Checks and their results, and the messages of failures: what was expected, what came, and in which line."""

from __future__ import annotations

import inspect
import sys
import traceback
import unittest
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType, TracebackType
from typing import Any, Literal, NoReturn

from noisette.contracts import KINDS, Plugin
from noisette.testing.options import format_plugin

__all__ = [
    "Check",
    "CheckFailedError",
    "Outcome",
    "Result",
    "Skip",
    "checks_of",
    "fail",
    "find_class_line",
    "for_method",
    "format_brief",
    "require",
    "skip_if",
    "slow",
]

Outcome = Literal["passed", "failed", "skipped", "expected"]
"""How a check ended; "expected" is a failure that was declared in advance, with a reason."""


class Skip(unittest.SkipTest):
    """Raised by a check that cannot run; pytest reports the reason."""


class CheckFailedError(AssertionError):
    """Raised by a check that a plugin fails.

    Attributes:
        cause: equal for all failures with the same cause, so that it is reported once.
    """

    def __init__(self, message: str, cause: str) -> None:
        super().__init__(message)
        self.cause = cause


@dataclass(frozen=True)
class Check:
    """A named function that raises `AssertionError` if a plugin breaks its contract.

    Attributes:
        name: readable name.
        function: the check.
        slow: whether it only runs on request.
        method: the plugin's method under test, whose line a failure names; empty for the main method of the kind.
    """

    name: str
    function: Callable[[Any], None]
    slow: bool = False
    method: str = ""

    def __call__(self, plugin: Plugin) -> None:
        """Run the check on one core; raise an AssertionError with the plugin, the expected and the actual value."""
        from noisette.testing.settings import one_thread, restore_global_settings

        __tracebackhide__ = True

        def changed(name: str, before: object, after: object) -> None:
            what = f"{name}, a global setting"
            fail(plugin, what, f"{before}, unchanged", after, cause=name)

        try:
            with one_thread(), restore_global_settings(changed):
                self.function(plugin)
        except unittest.SkipTest:
            raise
        except CheckFailedError as error:
            raise self._with_place(plugin, error) from error.__cause__
        except (Exception, SystemExit) as error:
            raise self._error_of_plugin(plugin, error) from error

    def __str__(self) -> str:
        return self.name

    @property
    def proves(self) -> str:
        """What the check proves, with its tolerance."""
        return inspect.getdoc(self.function) or ""

    def _with_place(self, plugin: Plugin, error: CheckFailedError) -> CheckFailedError:
        """Return the failure with a second line: the location in the plugin's code."""
        place, message = _find_method_line(plugin, self.method), str(error)
        if not message.startswith(type(plugin).__name__):
            message = f"{format_plugin(plugin)}: {message}"
        return CheckFailedError(f"{message}\nin {place}" if place else message, error.cause)

    def _error_of_plugin(self, plugin: Plugin, error: BaseException) -> CheckFailedError:
        what = f"{type(error).__name__}: {error}".removesuffix(": ")
        raised = _find_raising_line(error.__traceback__, plugin)
        place = raised or _find_method_line(plugin, self.method)
        message = f"{format_plugin(plugin)}: {self.name}: expected no error; got {what}"
        return CheckFailedError(f"{message} ({place})" if place else message, f"{type(error).__name__} {place}")


@dataclass(frozen=True)
class Result:
    """The result of one check of one plugin.

    Attributes:
        plugin: class and options.
        check: name of the check.
        outcome: how it ended.
        message: why the check failed or was skipped; empty if it passed.
        seconds: how long it took.
        cause: as in `CheckFailedError`.
    """

    plugin: str
    check: str
    outcome: Outcome
    message: str = ""
    seconds: float = 0.0
    cause: str = ""

    @property
    def ok(self) -> bool:
        """Whether the outcome is anything but "failed"."""
        return self.outcome != "failed"


def require(
    holds: bool, plugin: Plugin, what: str, expected: object, actual: object, *, cause: str | None = None
) -> None:
    """Raise an AssertionError with the plugin, the expected and the actual value, unless `holds`."""
    __tracebackhide__ = True
    if not holds:
        fail(plugin, what, expected, actual, cause=cause)


def fail(plugin: Plugin, what: str, expected: object, actual: object, *, cause: str | None = None) -> NoReturn:
    """Raise an AssertionError with the plugin, the expected and the actual value."""
    __tracebackhide__ = True
    message = "{}: expected {}; got {}".format(what, *_format_brief_pair(expected, actual))
    raise CheckFailedError(f"{format_plugin(plugin)}: {message}", message if cause is None else cause)


def skip_if(cannot_run: object, plugin: Plugin, reason: str) -> None:
    """Raise a `Skip` with the plugin and the reason, if a check cannot run."""
    __tracebackhide__ = True
    if cannot_run:
        raise Skip(f"{format_plugin(plugin)}: {reason}")


def for_method(method: str) -> Callable[[Callable[[Any], None]], Callable[[Any], None]]:
    """Mark a check as testing a method of the plugin, whose line a failure then names."""

    def mark(function: Callable[[Any], None]) -> Callable[[Any], None]:
        function.__dict__["method"] = method
        return function

    return mark


def slow(function: Callable[[Any], None]) -> Callable[[Any], None]:
    """Mark a check that takes many seconds and only runs on request."""
    function.__dict__["slow"] = True
    return function


def checks_of(module: ModuleType) -> list[Check]:
    """Return the checks of a module: its functions named `check_...`, in order."""
    found = [
        (name, member)
        for name, member in vars(module).items()
        if name.startswith("check_") and inspect.isfunction(member) and member.__module__ == module.__name__
    ]
    return [
        Check(
            name.removeprefix("check_").replace("_", "-"),
            function,
            getattr(function, "slow", False),
            getattr(function, "method", ""),
        )
        for name, function in found
    ]


_DIGITS = 5
_MOST = 8


def format_brief(value: object, digits: int = _DIGITS) -> str:
    """Return a value as text: floats with few digits, long lists and dictionaries shortened."""
    if isinstance(value, float):
        return f"{value:.{digits}g}"
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        fields = zip(value._fields, value, strict=True)
        return f"{type(value).__name__}({', '.join(f'{name}={format_brief(one, digits)}' for name, one in fields)})"
    if isinstance(value, list | tuple):
        inside = _join_items([_format_item(one, digits) for one in value])
        return f"[{inside}]" if isinstance(value, list) else f"({inside}{',' if len(value) == 1 else ''})"
    if isinstance(value, dict):
        return f"{{{_join_items([f'{key}: {_format_item(one, digits)}' for key, one in value.items()])}}}"
    return str(value)


def _format_brief_pair(expected: object, actual: object) -> tuple[str, str]:
    """Return two values as text, with more digits where they would otherwise look the same."""
    pair = format_brief(expected), format_brief(actual)
    for digits in (9, 17):
        if pair[0] == pair[1]:
            pair = format_brief(expected, digits), format_brief(actual, digits)
    return pair


def _format_item(value: Any, digits: int) -> str:
    return repr(value) if isinstance(value, str) else format_brief(value, digits)


def _join_items(parts: list[str]) -> str:
    if len(parts) <= _MOST:
        return ", ".join(parts)
    return ", ".join([*parts[: _MOST - 1], f"... ({len(parts)} in all)"])


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


def _find_raising_line(trace: TracebackType | None, plugin: Plugin) -> str:
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


def _find_method_line(plugin: Plugin, method: str | None = None) -> str:
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
