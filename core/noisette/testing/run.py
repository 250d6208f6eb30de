"""Run the checks of a plugin, directly or as parameters of pytest."""

from __future__ import annotations

import time
import unittest
from collections.abc import Callable, Collection, Iterable, Mapping
from importlib import import_module
from typing import TYPE_CHECKING

from pydantic import ValidationError

from noisette.contracts import Plugin
from noisette.errors import PluginError
from noisette.plugins.registry import suggest
from noisette.testing.check import Check, CheckFailedError, Outcome, Result, checks_of, find_class_line
from noisette.testing.options import format_plugin

if TYPE_CHECKING:
    import pytest

__all__ = [
    "CHECK_MODULES",
    "ExpectedFailures",
    "checks_for",
    "explain_refused_default",
    "parametrize_with_checks",
    "resolve_expected_failures",
    "run_checks",
    "to_instance",
]

CHECK_MODULES: dict[str, tuple[str, ...]] = {
    "schedule": ("common", "schedules"),
    "objective": ("common", "objectives", "objective_losses"),
    "backbone": ("common", "backbones", "backbone_inputs"),
    "sampler": ("common", "sampler_inputs", "samplers", "sampler_laws"),
    "features": ("common", "features"),
    "metric": ("common", "metrics", "metric_states", "metric_sets"),
    "dataset": ("common", "datasets"),
}
"""Modules of `noisette.testing.checks` that hold the checks of each kind."""

ExpectedFailures = Mapping[str, str] | Callable[[Plugin], Mapping[str, str]]
"""Names of checks that are expected to fail, with reasons; or a function from a plugin to such a mapping."""


def to_instance(plugin: Plugin | type[Plugin]) -> Plugin:
    """Return the plugin, or an instance of the class with default options.

    Raises:
        PluginError: if the class needs options, or is not a plugin class.
    """
    if isinstance(plugin, Plugin):
        return plugin
    if not (isinstance(plugin, type) and issubclass(plugin, Plugin)):
        raise PluginError(f"expected a plugin or its class; got {plugin!r}")
    try:
        return plugin()
    except (ValidationError, TypeError) as error:
        wrong_default = explain_refused_default(plugin, error)
        if wrong_default:
            raise PluginError(wrong_default) from error
        reason = f"{error}".splitlines()[0]
        raise PluginError(
            f"{plugin.__name__}: cannot be made without options ({reason}): give an instance, "
            f"such as {plugin.__name__}(...)"
        ) from error


def explain_refused_default(plugin: type[Plugin], error: Exception, given: Collection[str] = ()) -> str:
    """Return a message about a default value that its own option rejects; empty if there is none.

    Args:
        plugin: class that could not be created.
        error: pydantic's error.
        given: names of options that were given, whose values are not defaults.
    """
    for detail in error.errors() if isinstance(error, ValidationError) else ():
        option = str(detail["loc"][0]) if detail["loc"] else ""
        if detail["type"] != "missing" and option in plugin.model_fields and option not in given:
            actual = plugin.model_fields[option].get_default(call_default_factory=True)
            place = find_class_line(plugin)
            return (
                f"{plugin.__name__}: option {option!r}: expected a default that the option itself allows; "
                f"came {actual!r}: {detail['msg']} ({place})"
            )
    return ""


def checks_for(plugin: Plugin | type[Plugin]) -> list[Check]:
    """Return the checks for a plugin's kind, in order.

    Raises:
        PluginError: if there is no such kind.
    """
    kind = getattr(plugin, "kind", None)
    if kind not in CHECK_MODULES:
        raise PluginError(f"no checks for kind {kind!r}; there are some for {', '.join(CHECK_MODULES)}")
    modules = [import_module(f"noisette.testing.checks.{home}") for home in CHECK_MODULES[kind]]
    return [check for module in modules for check in checks_of(module)]


def run_checks(
    plugin: Plugin | type[Plugin],
    expected_failed: ExpectedFailures | None = None,
    *,
    only: Collection[str] | None = None,
    slow: bool = False,
) -> list[Result]:
    """Run the checks of a plugin and return their results; errors of the plugin are results, not exceptions.

    Args:
        plugin: a plugin, or a class whose defaults are checked.
        expected_failed: names of checks that are expected to fail, with reasons; one that passes is a failure.
        only: names of the checks to run; all if not given.
        slow: whether to run slow checks too.

    Raises:
        PluginError: if `plugin` is not a plugin, or a name is not a check of its kind.
    """
    plugin = to_instance(plugin)
    checks = checks_for(plugin)
    reasons = resolve_expected_failures(plugin, checks, expected_failed)
    require_known_names(plugin, checks, only or ())
    return [
        _run_check(plugin, check, reasons.get(check.name), slow)
        for check in checks
        if only is None or check.name in only
    ]


def resolve_expected_failures(
    plugin: Plugin, checks: Collection[Check], expected: ExpectedFailures | None
) -> Mapping[str, str]:
    """Return the expected failures of this plugin, after checking their names."""
    reasons = expected(plugin) if callable(expected) else expected or {}
    require_known_names(plugin, checks, reasons)
    return reasons


def require_known_names(plugin: Plugin, checks: Collection[Check], names: Collection[str]) -> None:
    """Raise a `PluginError` for a name that is not a check of this plugin."""
    known = [check.name for check in checks]
    for name in names:
        if name not in known:
            hint = suggest(name, known)
            raise PluginError(
                f"{format_plugin(plugin)}: no check {name!r} for a {plugin.kind}" + (f"; {hint}" if hint else "")
            )


def _run_check(plugin: Plugin, check: Check, reason: str | None, slow: bool) -> Result:
    if check.slow and not slow:
        return Result(format_plugin(plugin), check.name, "skipped", "slow: runs only on request")
    start = time.perf_counter()
    outcome, message, cause = _check_outcome(plugin, check)
    if reason is not None and outcome == "passed":
        outcome, message = "failed", f"{format_plugin(plugin)}: was expected to fail ({reason}) but passed"
    elif reason is not None and outcome == "failed":
        outcome, message = "expected", f"{reason}: {message}"
    return Result(format_plugin(plugin), check.name, outcome, message, time.perf_counter() - start, cause)


def _check_outcome(plugin: Plugin, check: Check) -> tuple[Outcome, str, str]:
    try:
        check(plugin)
    except unittest.SkipTest as skip:
        return "skipped", str(skip), str(skip)
    except CheckFailedError as error:
        return "failed", str(error), error.cause
    return "passed", "", ""


def parametrize_with_checks(
    plugins: Iterable[Plugin | type[Plugin]], expected_failed: ExpectedFailures | None = None, *, slow: bool = False
) -> pytest.MarkDecorator:
    """Return a decorator that runs a test once for each plugin and each of its checks.

        @parametrize_with_checks([Heun(), Heun(steps=20)])
        def test_heun(plugin, check):
            check(plugin)

    Args:
        plugins: plugins, or classes whose defaults are checked.
        expected_failed: names of checks that are expected to fail, with reasons: they become strict xfails. A
            function from a plugin to such a mapping distinguishes several plugins.
        slow: whether to run slow checks too, such as that of torch.compile.

    Raises:
        PluginError: if one is not a plugin, or a name is not a check of its kind.
    """
    import pytest

    parameters = []
    for plugin in map(to_instance, plugins):
        checks = checks_for(plugin)
        reasons = resolve_expected_failures(plugin, checks, expected_failed)
        for check in checks:
            if check.slow and not slow:
                continue
            reason = reasons.get(check.name)
            marks = [pytest.mark.xfail(reason=reason, strict=True)] if reason is not None else []
            parameters.append(pytest.param(plugin, check, marks=marks, id=f"{format_plugin(plugin)}-{check.name}"))
    return pytest.mark.parametrize(("plugin", "check"), parameters)
