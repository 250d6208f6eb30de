"""`noisette plugins`: what is installed, what is broken and why; the conformance kit; new packages."""

from __future__ import annotations

import json as jsonlib
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import redirect_stdout
from dataclasses import replace
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Annotated, Any

import typer
from pydantic import ValidationError
from pydantic_core import PydanticCustomError
from rich.console import Console

from noisette import ConfigError, Plugin, PluginError, registry
from noisette.config.reference import make_plugin
from noisette.contracts import KINDS
from noisette.errors import Problem
from noisette.plugins import FoundPlugin
from noisette.plugins.registry import suggest
from noisette_flows.cli.options import AsJson, Command, parse_settings
from noisette_flows.display import plugins as display
from noisette_flows.scaffold import HOOKS, Names, write_package

if TYPE_CHECKING:
    from noisette.testing import Result

__all__ = ["check_kind", "check_plugin", "find_plugins", "new_plugin", "plugins"]


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
    from noisette_flows.display.plugins import check_facts, print_results

    reasons = dict(map(_parse_reason, expected_failed or []))
    plugins = [(found, _build_plugin(found, parse_settings(options))) for found in find_plugins(name)]
    console, told = Console(file=sys.stdout, quiet=json), []
    with redirect_stdout(sys.stderr):  # what a plugin prints must not get between a program and our JSON
        for found, plugin in plugins:
            told.append(check_facts(found, print_results(found, _run_checks(plugin, reasons, slow), console)))
    if json:
        print(jsonlib.dumps(told, indent=1))
    if any(one["counts"]["failed"] for one in told):
        raise typer.Exit(1)


def _run_checks(plugin: Plugin, reasons: Mapping[str, str], slow: bool) -> Iterator[Result]:
    """Make one check after the other; a misspelt name in `reasons` is refused before the first."""
    from noisette.testing import checks_for, run_checks
    from noisette.testing.run import resolve_expected_failures

    checks = checks_for(plugin)
    resolve_expected_failures(plugin, checks, reasons)
    expected = ({name: reasons[name] for name in {check.name} & reasons.keys()} for check in checks)
    pairs = zip(checks, expected, strict=True)
    return (result for check, why in pairs for result in run_checks(plugin, why, only=[check.name], slow=slow))


def _build_plugin(found: FoundPlugin, options: dict[str, Any]) -> Plugin:
    """Return the plugin with some options, refused as a config would refuse them."""
    name = f"{found.origin.distribution}:{found.plugin.name}"
    try:
        return make_plugin(found.plugin.kind, {**options, "name": name})
    except PydanticCustomError as error:
        _blame_default(found, options)
        problems = (error.context or {})["problems"]
        told = [replace(one, hint=_set_hint(one)) for one in problems]
        raise ConfigError(f"{found.plugin.kind} {found.plugin.name}", told) from None


def _blame_default(found: FoundPlugin, options: dict[str, Any]) -> None:
    """Raise a PluginError if the plugin cannot be made because of a default value of its own."""
    from noisette.testing.run import explain_refused_default

    try:
        found.plugin(**options)
    except ValidationError as error:
        message = explain_refused_default(found.plugin, error, options)
        if message:
            raise PluginError(message) from error


def _set_hint(problem: Problem) -> str:
    return f"give it with --set {problem.path}=VALUE" if problem.message == "is required" else problem.hint


def _parse_reason(text: str) -> tuple[str, str]:
    check, _, reason = text.partition("=")
    if not check or not reason.strip():
        raise typer.BadParameter(f"--expected-failed: expected CHECK=REASON; got {text!r}")
    return check, reason.strip()


plugins = typer.Typer(name="plugins", help="See, check and write plugins.", no_args_is_help=True)


@plugins.command("list", cls=Command)
def list_plugins(
    kind: Annotated[str | None, typer.Option("--kind", "-k", help=f"Only one of: {', '.join(KINDS)}.")] = None,
    json: AsJson = False,
) -> None:
    """List all plugins, the packages that listen to runs, and what is broken."""
    if kind is not None:
        check_kind(kind)
    found = registry().of_kind(kind) if kind else registry().found
    hooks = [] if kind else [display.hooks(source) for source in registry().sources if source.hooks]
    listed = [*map(display.facts, found), *hooks, *map(display.fault, registry().broken)]
    if json:
        print(jsonlib.dumps(listed, indent=1))
    else:
        display.show_list(listed, Console())


@plugins.command("show", cls=Command)
def show_plugin(
    name: Annotated[
        list[str],
        typer.Argument(metavar="[KIND] NAME", help="Such as `ddim`, or `metric kid`.", show_default=False),
    ],
    json: AsJson = False,
) -> None:
    """Show a plugin's options with types, defaults and descriptions, and how a config names it."""
    for found in find_plugins(name):
        if json:
            print(jsonlib.dumps(display.details(found), indent=1))
        else:
            display.show_details(found, Console())


def find_plugins(words: list[str]) -> list[FoundPlugin]:
    """Return the plugin of a kind and name, or those of all kinds that bear the name.

    Raises:
        PluginError: if there is none, or several of one kind.
        BadParameter: if the words are not a name, or a kind and a name.
    """
    if len(words) > 2:
        raise typer.BadParameter("expected a name, or a kind and a name")
    if len(words) == 2:
        check_kind(words[0])
        return [registry().find(*words)]
    named = [kind for kind in KINDS if words[0].rpartition(":")[2] in registry().names(kind)]
    if not named:
        known = sorted({found.plugin.name for found in registry().found})
        broken = [f"broken: {broken.origin}: {broken.reason}" for broken in registry().broken]
        parts = [f"no plugin {words[0]!r}; there is {', '.join(known)}", suggest(words[0], known), *broken]
        raise PluginError("; ".join(part for part in parts if part))
    return [registry().find(kind, words[0]) for kind in named]


def check_kind(kind: str, kinds: Sequence[str] = tuple(KINDS)) -> None:
    """Refuse a word that is no kind of plugin, or none of some other kinds.

    Raises:
        BadParameter: with the kinds that there are.
    """
    if kind not in kinds:
        hint = suggest(kind, kinds)
        raise typer.BadParameter(f"no kind {kind!r}; there is {', '.join(kinds)}. {hint}".strip())


_KINDS = (*KINDS, HOOKS)


def new_plugin(
    kind: Annotated[str, typer.Argument(metavar="KIND", help=f"One of: {', '.join(_KINDS)}.", show_default=False)],
    name: Annotated[
        str,
        typer.Argument(metavar="NAME", help="How configs will call it, such as my-sampler.", show_default=False),
    ],
    directory: Annotated[
        Path, typer.Option("--directory", "-d", help="Where the package's folder is made.")
    ] = Path(),
) -> None:
    """Write a package with a plugin, or hooks, that work, its tests and its CI."""
    check_kind(kind, _KINDS)
    names = Names.free(kind, name)
    written = write_package(names, directory)
    package = directory / names.distribution
    print("\n".join(map(str, written)))
    print("\nIt works as it is. Install it so that what you edit is what runs, then check it:\n")
    print(f"  pip install -e {quote(str(package))}")
    print("  noisette plugins list" if kind == HOOKS else f"  noisette plugins check {kind} {name}")
