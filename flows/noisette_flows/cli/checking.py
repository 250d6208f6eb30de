"""`noisette plugins check`: the conformance kit on an installed plugin."""

from __future__ import annotations

import json as jsonlib
import sys
from collections.abc import Iterator, Mapping
from contextlib import redirect_stdout
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

import typer
from pydantic import ValidationError
from pydantic_core import PydanticCustomError
from rich.console import Console

from noisette import ConfigError, Plugin, PluginError
from noisette.config.reference import make_plugin
from noisette.errors import Problem
from noisette.plugins import Found
from noisette_flows.cli.options import AsJson, overrides_of
from noisette_flows.cli.plugins import chosen

if TYPE_CHECKING:
    from noisette.testing import Result

__all__ = ["check_plugin"]


def check_plugin(
    name: Annotated[
        list[str],
        typer.Argument(metavar="[KIND] NAME", help="Such as `ddim`, or `metric kid`.", show_default=False),
    ],
    options: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="OPTION=VALUE", help="Check it with this option; repeatable."),
    ] = None,
    expected_failed: Annotated[
        list[str] | None,
        typer.Option(metavar="CHECK=REASON", help="A check that is known to fail, and why; repeatable."),
    ] = None,
    slow: Annotated[bool, typer.Option("--slow", help="Make the slow checks too.")] = False,
    json: AsJson = False,
) -> None:
    """Prove a plugin right: no data, no training, no GPU; under a minute on a CPU.

    Exit code 0 if every check passes or fails as expected, 1 if one fails, 2 if the request was wrong.
    """
    from noisette_flows.display.checks import facts, shown

    reasons = dict(map(_reason, expected_failed or []))
    plugins = [(found, _made(found, overrides_of(options))) for found in chosen(name)]
    console, told = Console(file=sys.stdout, quiet=json), []
    with redirect_stdout(sys.stderr):  # what a plugin prints must not get between a program and our JSON
        for found, plugin in plugins:
            told.append(facts(found, shown(found, _results(plugin, reasons, slow), console)))
    if json:
        print(jsonlib.dumps(told, indent=1))
    if any(one["counts"]["failed"] for one in told):
        raise typer.Exit(1)


def _results(plugin: Plugin, reasons: Mapping[str, str], slow: bool) -> Iterator[Result]:
    """Make one check after the other; a misspelt name in `reasons` is refused before the first."""
    from noisette.testing import checks_for, run_checks
    from noisette.testing.run import expectations

    checks = checks_for(plugin)
    expectations(plugin, checks, reasons)
    expected = ({name: reasons[name] for name in {check.name} & reasons.keys()} for check in checks)
    pairs = zip(checks, expected, strict=True)
    return (result for check, why in pairs for result in run_checks(plugin, why, only=[check.name], slow=slow))


def _made(found: Found, options: dict[str, Any]) -> Plugin:
    """Return the plugin with some options, refused as a config would refuse them."""
    name = f"{found.origin.distribution}:{found.plugin.name}"
    try:
        return make_plugin(found.plugin.kind, {**options, "name": name})
    except PydanticCustomError as error:
        _blame_default(found, options)
        problems = (error.context or {})["problems"]
        told = [replace(one, hint=_hint(one)) for one in problems]
        raise ConfigError(f"{found.plugin.kind} {found.plugin.name}", told) from None


def _blame_default(found: Found, options: dict[str, Any]) -> None:
    """Raise a PluginError if the plugin cannot be made because of a default value of its own."""
    from noisette.testing.run import refused_default

    try:
        found.plugin(**options)
    except ValidationError as error:
        message = refused_default(found.plugin, error, options)
        if message:
            raise PluginError(message) from error


def _hint(problem: Problem) -> str:
    return f"give it with --set {problem.path}=VALUE" if problem.message == "is required" else problem.hint


def _reason(text: str) -> tuple[str, str]:
    check, _, reason = text.partition("=")
    if not check or not reason.strip():
        raise typer.BadParameter(f"--expected-failed: expected CHECK=REASON; got {text!r}")
    return check, reason.strip()
