"""`noisette plugins`: what is installed, what is broken and why, and what a plugin's options are."""

from __future__ import annotations

import json as jsonlib
from collections.abc import Sequence
from typing import Annotated

import typer
from rich.console import Console

from noisette import PluginError, registry
from noisette.contracts import KINDS
from noisette.plugins import Found
from noisette.plugins.registry import nearest
from noisette_flows.cli.options import AsJson
from noisette_flows.cli.usage import Command
from noisette_flows.display import plugins as display

__all__ = ["check_kind", "chosen", "plugins"]

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
    for found in chosen(name):
        if json:
            print(jsonlib.dumps(display.details(found), indent=1))
        else:
            display.show_details(found, Console())


def chosen(words: list[str]) -> list[Found]:
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
        parts = [f"no plugin {words[0]!r}; there is {', '.join(known)}", nearest(words[0], known), *broken]
        raise PluginError("; ".join(part for part in parts if part))
    return [registry().find(kind, words[0]) for kind in named]


def check_kind(kind: str, kinds: Sequence[str] = tuple(KINDS)) -> None:
    """Refuse a word that is no kind of plugin, or none of some other kinds.

    Raises:
        BadParameter: with the kinds that there are.
    """
    if kind not in kinds:
        hint = nearest(kind, kinds)
        raise typer.BadParameter(f"no kind {kind!r}; there is {', '.join(kinds)}. {hint}".strip())
