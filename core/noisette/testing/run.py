"""Checking plugins: which checks there are for one, and what comes of them."""

from __future__ import annotations

import time
import unittest
from collections.abc import Callable, Collection, Mapping
from importlib import import_module

from pydantic import ValidationError

from noisette.contracts import Plugin
from noisette.errors import PluginError
from noisette.plugins.registry import nearest
from noisette.testing.check import Check, CheckFailedError, Outcome, Result, checks_of
from noisette.testing.options import shown
from noisette.testing.places import line_of_class

__all__ = ["HOMES", "Expected", "checks_for", "expectations", "instance", "refused_default", "run_checks"]

HOMES: dict[str, tuple[str, ...]] = {
    "schedule": ("common", "schedules", "schedule_papers"),
    "objective": ("common", "objectives", "objective_losses", "objective_ranges"),
    "backbone": ("common", "backbones", "backbone_inputs", "backbone_ranges"),
    "sampler": ("common", "sampler_inputs", "samplers", "sampler_draws", "sampler_orders", "sampler_laws"),
    "features": ("common", "features", "feature_names", "feature_batches"),
    "metric": (
        "common",
        "metrics",
        "metric_states",
        "metric_neighbours",
        "metric_sets",
        "metric_values",
        "metric_papers",
    ),
    "dataset": ("common", "datasets", "dataset_passes"),
}
"""Modules of `noisette.testing.checks` that hold the checks of each kind."""

Expected = Mapping[str, str] | Callable[[Plugin], Mapping[str, str]]
"""Checks that may fail, and why; or a function that says so for each plugin."""


def instance(plugin: Plugin | type[Plugin]) -> Plugin:
    """Return the plugin; of a class, the one with default options.

    Raises:
        PluginError: if the class cannot be made without options, or is no plugin.
    """
    if isinstance(plugin, Plugin):
        return plugin
    if not (isinstance(plugin, type) and issubclass(plugin, Plugin)):
        raise PluginError(f"expected a plugin or its class; got {plugin!r}")
    try:
        return plugin()
    except (ValidationError, TypeError) as error:
        wrong_default = refused_default(plugin, error)
        if wrong_default:
            raise PluginError(wrong_default) from error
        reason = f"{error}".splitlines()[0]
        raise PluginError(
            f"{plugin.__name__}: cannot be made without options ({reason}): give an instance, "
            f"such as {plugin.__name__}(...)"
        ) from error


def refused_default(plugin: type[Plugin], error: Exception, given: Collection[str] = ()) -> str:
    """Return a message about a default value that its own option refuses; empty if no default is to blame.

    Args:
        plugin: class that could not be made.
        error: what pydantic says of it.
        given: options that somebody gave, whose values are no defaults.
    """
    for detail in error.errors() if isinstance(error, ValidationError) else ():
        option = str(detail["loc"][0]) if detail["loc"] else ""
        if detail["type"] != "missing" and option in plugin.model_fields and option not in given:
            came = plugin.model_fields[option].get_default(call_default_factory=True)
            place = line_of_class(plugin)
            return (
                f"{plugin.__name__}: option {option!r}: expected a default that the option itself allows; "
                f"came {came!r}: {detail['msg']} ({place})"
            )
    return ""


def checks_for(plugin: Plugin | type[Plugin]) -> list[Check]:
    """Return the checks for a plugin's kind, in their order.

    Raises:
        PluginError: if there is no such kind.
    """
    kind = getattr(plugin, "kind", None)
    if kind not in HOMES:
        raise PluginError(f"no checks for kind {kind!r}; there are some for {', '.join(HOMES)}")
    modules = [import_module(f"noisette.testing.checks.{home}") for home in HOMES[kind]]
    return [check for module in modules for check in checks_of(module)]


def run_checks(
    plugin: Plugin | type[Plugin],
    expected_failed: Expected | None = None,
    *,
    only: Collection[str] | None = None,
    slow: bool = False,
) -> list[Result]:
    """Make the checks of a plugin and return what came of each; nothing is raised by a plugin's fault.

    Args:
        plugin: a plugin, or a class whose defaults are checked.
        expected_failed: checks that fail and why; one that passes all the same is a failure.
        only: names of the checks to make; all if not given.
        slow: whether to make the slow ones.

    Raises:
        PluginError: if `plugin` is none, or a name is no check of its kind.
    """
    plugin = instance(plugin)
    checks = checks_for(plugin)
    reasons = expectations(plugin, checks, expected_failed)
    known_names(plugin, checks, only or ())
    return [
        _result(plugin, check, reasons.get(check.name), slow)
        for check in checks
        if only is None or check.name in only
    ]


def expectations(plugin: Plugin, checks: Collection[Check], expected: Expected | None) -> Mapping[str, str]:
    """Return the reasons that hold for this plugin, after looking for misspelt names."""
    reasons = expected(plugin) if callable(expected) else expected or {}
    known_names(plugin, checks, reasons)
    return reasons


def known_names(plugin: Plugin, checks: Collection[Check], names: Collection[str]) -> None:
    """Refuse a name that no check of this plugin bears."""
    known = [check.name for check in checks]
    for name in names:
        if name not in known:
            hint = nearest(name, known)
            raise PluginError(
                f"{shown(plugin)}: no check {name!r} for a {plugin.kind}" + (f"; {hint}" if hint else "")
            )


def _result(plugin: Plugin, check: Check, reason: str | None, slow: bool) -> Result:
    if check.slow and not slow:
        return Result(shown(plugin), check.name, "skipped", "slow: made only when asked for")
    start = time.perf_counter()
    outcome, message, cause = _outcome(plugin, check)
    if reason is not None and outcome == "passed":
        outcome, message = "failed", f"{shown(plugin)}: was expected to fail ({reason}), and passed"
    elif reason is not None and outcome == "failed":
        outcome, message = "expected", f"{reason}: {message}"
    return Result(shown(plugin), check.name, outcome, message, time.perf_counter() - start, cause)


def _outcome(plugin: Plugin, check: Check) -> tuple[Outcome, str, str]:
    try:
        check(plugin)
    except unittest.SkipTest as skip:
        return "skipped", str(skip), str(skip)
    except CheckFailedError as error:
        return "failed", str(error), error.cause
    return "passed", "", ""
