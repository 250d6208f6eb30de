"""Checks and their results."""

from __future__ import annotations

import inspect
import unittest
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import Any, Literal, NoReturn

from noisette.contracts import Plugin
from noisette.testing.options import format_plugin
from noisette.testing.source_lines import find_method_line, find_raising_line
from noisette.testing.wording import format_brief_pair

__all__ = [
    "Check",
    "CheckFailedError",
    "Outcome",
    "Result",
    "Skip",
    "checks_of",
    "fail",
    "for_method",
    "require",
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
        place, message = find_method_line(plugin, self.method), str(error)
        if not message.startswith(type(plugin).__name__):
            message = f"{format_plugin(plugin)}: {message}"
        return CheckFailedError(f"{message}\nin {place}" if place else message, error.cause)

    def _error_of_plugin(self, plugin: Plugin, error: BaseException) -> CheckFailedError:
        what = f"{type(error).__name__}: {error}".removesuffix(": ")
        raised = find_raising_line(error.__traceback__, plugin)
        place = raised or find_method_line(plugin, self.method)
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
    message = "{}: expected {}; got {}".format(what, *format_brief_pair(expected, actual))
    raise CheckFailedError(f"{format_plugin(plugin)}: {message}", message if cause is None else cause)


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
