"""What a check is, and what comes of one."""

from __future__ import annotations

import inspect
import traceback
import unittest
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import Any, Literal

from noisette.contracts import Plugin
from noisette.testing.options import shown

__all__ = ["Check", "Outcome", "Result", "Skip", "checks_of", "require", "slow"]

Outcome = Literal["passed", "failed", "skipped", "expected"]
"""How a check ended; "expected" is a failure that was announced, with its reason."""


class Skip(unittest.SkipTest):
    """Raised by a check that cannot be made here; pytest knows it and shows the reason."""


@dataclass(frozen=True)
class Check:
    """A function that raises `AssertionError` if a plugin does not keep a promise, under a readable name."""

    name: str
    function: Callable[[Any], None]
    slow: bool = False

    def __call__(self, plugin: Plugin) -> None:
        """Make the check on one core; raises AssertionError naming plugin, expected and came, or `Skip`."""
        from noisette.testing.probes import one_thread

        __tracebackhide__ = True
        try:
            with one_thread():
                self.function(plugin)
        except unittest.SkipTest:
            raise
        except (Exception, SystemExit) as error:
            if isinstance(error, AssertionError) and str(error):
                raise  # without a text it is a bare assert of the plugin's, which says neither who nor where
            where = traceback.extract_tb(error.__traceback__)[-1]
            what = f"{type(error).__name__}: {error}".removesuffix(": ")
            came = f"{what} ({where.filename}:{where.lineno})"
            raise AssertionError(f"{shown(plugin)}: {self.name}: expected no error; came {came}") from error

    def __str__(self) -> str:
        return self.name

    @property
    def proves(self) -> str:
        """What it proves, with its tolerance and why."""
        return inspect.getdoc(self.function) or ""


@dataclass(frozen=True)
class Result:
    """What came of one check of one plugin.

    Attributes:
        plugin: class and options.
        check: name of the check.
        outcome: how it ended.
        message: why it failed or was skipped; empty if it passed.
        seconds: how long it took.
    """

    plugin: str
    check: str
    outcome: Outcome
    message: str = ""
    seconds: float = 0.0

    @property
    def ok(self) -> bool:
        """Whether nothing is to be mended: all but "failed"."""
        return self.outcome != "failed"


def require(holds: bool, plugin: Plugin, what: str, expected: object, came: object) -> None:
    """Raise an AssertionError that names plugin, expected and came, unless `holds`."""
    __tracebackhide__ = True
    if not holds:
        raise AssertionError(f"{shown(plugin)}: {what}: expected {expected}; came {came}")


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
        Check(name.removeprefix("check_").replace("_", "-"), function, getattr(function, "slow", False))
        for name, function in found
    ]
