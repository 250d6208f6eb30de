"""What a check is, and what comes of one."""

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
"""How a check ended; "expected" is a failure that was announced, with its reason."""


class Skip(unittest.SkipTest):
    """Raised by a check that cannot be made here; pytest knows it and shows the reason."""


class CheckFailedError(AssertionError):
    """Raised by a check that a plugin fails.

    Attributes:
        cause: what is the same in all failures of one cause, so that it is told once.
    """

    def __init__(self, message: str, cause: str) -> None:
        super().__init__(message)
        self.cause = cause


@dataclass(frozen=True)
class Check:
    """A function that raises `AssertionError` if a plugin does not keep a promise, under a readable name.

    Attributes:
        name: what it is called.
        function: the check.
        slow: whether it is made only when it is asked for.
        method: the plugin's method that it is about, whose line a failure names; empty for the kind's main one.
    """

    name: str
    function: Callable[[Any], None]
    slow: bool = False
    method: str = ""

    def __call__(self, plugin: Plugin) -> None:
        """Make the check on one core; raises AssertionError naming plugin, expected and came, or `Skip`."""
        from noisette.testing.settings import one_thread, restore_global_settings

        __tracebackhide__ = True

        def changed(name: str, before: object, after: object) -> None:
            what = f"{name}, which all code of the process shares"
            fail(plugin, what, f"{before} as before", after, cause=name)

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
        """What it proves, with its tolerance and why."""
        return inspect.getdoc(self.function) or ""

    def _with_place(self, plugin: Plugin, error: CheckFailedError) -> CheckFailedError:
        """Return a failure with a second line that says where in the plugin's code to look."""
        place, said = find_method_line(plugin, self.method), str(error)
        if not said.startswith(type(plugin).__name__):
            said = f"{format_plugin(plugin)}: {said}"
        return CheckFailedError(f"{said}\nin {place}" if place else said, error.cause)

    def _error_of_plugin(self, plugin: Plugin, error: BaseException) -> CheckFailedError:
        what = f"{type(error).__name__}: {error}".removesuffix(": ")
        raised = find_raising_line(error.__traceback__, plugin)
        place = raised or find_method_line(plugin, self.method)
        message = f"{format_plugin(plugin)}: {self.name}: expected no error; came {what}"
        return CheckFailedError(f"{message} ({place})" if place else message, f"{type(error).__name__} {place}")


@dataclass(frozen=True)
class Result:
    """What came of one check of one plugin.

    Attributes:
        plugin: class and options.
        check: name of the check.
        outcome: how it ended.
        message: why it failed or was skipped; empty if it passed.
        seconds: how long it took.
        cause: of a failure, what is the same in all failures for one reason; not for people.
    """

    plugin: str
    check: str
    outcome: Outcome
    message: str = ""
    seconds: float = 0.0
    cause: str = ""

    @property
    def ok(self) -> bool:
        """Whether nothing is to be mended: all but "failed"."""
        return self.outcome != "failed"


def require(
    holds: bool, plugin: Plugin, what: str, expected: object, actual: object, *, cause: str | None = None
) -> None:
    """Raise an AssertionError that names plugin, expected and came, unless `holds`."""
    __tracebackhide__ = True
    if not holds:
        fail(plugin, what, expected, actual, cause=cause)


def fail(plugin: Plugin, what: str, expected: object, actual: object, *, cause: str | None = None) -> NoReturn:
    """Raise an AssertionError that names plugin, expected and came; `cause` is as in `CheckFailedError`."""
    __tracebackhide__ = True
    wanted, given = format_brief_pair(expected, actual)
    said = f"{what}: expected {wanted}; came {given}"
    raise CheckFailedError(f"{format_plugin(plugin)}: {said}", said if cause is None else cause)


def for_method(method: str) -> Callable[[Callable[[Any], None]], Callable[[Any], None]]:
    """Mark a check as one of a method of the plugin, whose line a failure then names."""

    def mark(function: Callable[[Any], None]) -> Callable[[Any], None]:
        function.__dict__["method"] = method
        return function

    return mark


def slow(function: Callable[[Any], None]) -> Callable[[Any], None]:
    """Mark a check that takes many seconds and is left out unless asked for."""
    function.__dict__["slow"] = True
    return function


def checks_of(module: ModuleType) -> list[Check]:
    """Return the checks that a module defines: its functions called `check_...`, in their order."""
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
