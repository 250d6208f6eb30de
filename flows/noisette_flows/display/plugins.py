"""Plugins on the terminal: lists, tables, examples, and the results of the conformance kit."""

from __future__ import annotations

import inspect
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from textwrap import indent
from typing import TYPE_CHECKING, Any

import yaml
from pydantic.fields import FieldInfo
from pydantic_core import to_jsonable_python
from rich.console import Console
from rich.markup import escape
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from noisette import Plugin, registry
from noisette.plugins import BrokenPlugin, FoundPlugin, PluginSource

if TYPE_CHECKING:
    from noisette.testing import Result

__all__ = ["details", "facts", "fault", "hooks", "print_results", "show_details", "show_list"]

_LISTED = {"sampler": ("sampling", "samplers"), "metric": ("evaluation", "metrics")}
_INSIDE = {"features": "evaluation"}


def facts(found: FoundPlugin) -> dict[str, str]:
    """Return a plugin's row in the list."""
    plugin = found.plugin
    same = [other for other in registry().of_kind(plugin.kind) if other.plugin.name == plugin.name]
    clash = "" if len(same) == 1 else f"several packages give it: write {found.origin.distribution}:{plugin.name}"
    return {
        "kind": plugin.kind,
        "name": plugin.name,
        "distribution": found.origin.distribution,
        "version": found.origin.version,
        "status": "ambiguous" if clash else "ok",
        "description": clash or _first_line(plugin),
        "entry_point": found.origin.entry_point,
    }


def hooks(source: PluginSource) -> dict[str, str]:
    """Return the row of an entry point with lifecycle hooks."""
    return {
        "kind": "hooks",
        "name": source.origin.entry_point,
        "distribution": source.origin.distribution,
        "version": source.origin.version,
        "status": "ok",
        "description": f"listens to {', '.join(source.hooks)}",
        "entry_point": source.origin.entry_point,
    }


def fault(broken: BrokenPlugin) -> dict[str, str]:
    """Return the row of a broken entry point."""
    return {
        "kind": "",
        "name": "",
        "distribution": broken.origin.distribution,
        "version": broken.origin.version,
        "status": "broken",
        "description": broken.reason,
        "entry_point": broken.origin.entry_point,
    }


def details(found: FoundPlugin) -> dict[str, Any]:
    """Return everything about a plugin as JSON values."""
    plugin = found.plugin
    return {
        **facts(found),
        "documentation": inspect.getdoc(plugin) or "",
        "paper": plugin.paper,
        "options": options(plugin),
        "example": example(plugin),
    }


def options(plugin: type[Plugin]) -> list[dict[str, Any]]:
    """Return the options of a plugin: name, type, default (if it has one), description."""
    schema = plugin.model_json_schema()
    return [
        {
            "name": name,
            "type": _type(schema["properties"][name]),
            "required": field.is_required(),
            **({} if field.is_required() else {"default": _default(field)}),
            "description": field.description or "",
        }
        for name, field in plugin.model_fields.items()
    ]


def example(plugin: type[Plugin]) -> str:
    """Return the config of the plugin with all its options at their defaults, in YAML."""
    values = {
        option["name"]: f"<{option['type']}>" if option["required"] else option["default"]
        for option in options(plugin)
    }
    line = yaml.safe_dump(
        {"name": plugin.name, **values}, default_flow_style=True, sort_keys=False, width=1000
    ).strip()
    if plugin.kind in _LISTED:
        section, key = _LISTED[plugin.kind]
        return f"{section}:\n  {key}:\n    - {line}\n"
    if plugin.kind in _INSIDE:
        return f"{_INSIDE[plugin.kind]}:\n  {plugin.kind}: {line}\n"
    return f"{plugin.kind}: {line}\n"


def show_list(listed: Sequence[dict[str, str]], console: Console) -> None:
    """Print the list as a table; broken entry points come last, with the full error."""
    table = Table(box=None, padding=(0, 1), header_style="bold")
    for header in ("kind", "name", "version", "from", "status"):
        table.add_column(header, no_wrap=True)
    table.add_column("what it is")
    for line in listed:
        if line["status"] != "broken":
            colour = "green" if line["status"] == "ok" else "yellow"
            start = (line["kind"], line["name"], line["version"], line["distribution"])
            table.add_row(*start, f"[{colour}]{line['status']}", escape(line["description"]))
    _wide(console).print(table)
    for line in listed:
        if line["status"] == "broken":
            origin = f"{line['distribution']} {line['version']}, entry point {line['entry_point']!r}"
            console.print(f" broken  {origin}: {line['description']}", style="red", markup=False, soft_wrap=True)


def show_details(found: FoundPlugin, console: Console) -> None:
    """Print everything about a plugin."""
    plugin, origin = found.plugin, found.origin
    console.print(f"[bold]{plugin.kind} {plugin.name}[/]  {origin.distribution} {origin.version}", highlight=False)
    for text in (inspect.getdoc(plugin), plugin.paper):
        if text:
            console.print(f"\n{text}", markup=False, highlight=False, soft_wrap=True)
    table = Table(box=None, padding=(0, 1), header_style="bold")
    table.add_column("option", no_wrap=True)
    for header in ("type", "default", "what it does"):
        table.add_column(header)
    for option in options(plugin):
        default = "required" if option["required"] else yaml.safe_dump(option["default"], default_flow_style=True)
        cells = (option["name"], option["type"], default.removesuffix("...\n").strip(), option["description"])
        table.add_row(*map(escape, cells))
    console.print()
    if table.row_count:
        _wide(console).print(table)
        console.print()
    console.print(example(plugin), markup=False, highlight=False, soft_wrap=True)


def _first_line(plugin: type[Plugin]) -> str:
    return (inspect.getdoc(plugin) or "").partition("\n")[0]


def _default(field: FieldInfo) -> Any:
    value = field.get_default(call_default_factory=True)
    return value.options() if isinstance(value, Plugin) else to_jsonable_python(value)


def _type(field: dict[str, Any]) -> str:
    """Return the type of a JSON schema briefly: ``integer > 0``, ``crop | resize | pad``."""
    if "$ref" in field:  # another plugin
        return str(field["$ref"].rpartition("/")[2]).lower()
    if "enum" in field:
        return " | ".join(map(str, field["enum"]))
    if "const" in field:
        return str(field["const"])
    if "anyOf" in field:
        return " | ".join(map(_type, field["anyOf"]))
    if field.get("type") == "array":
        inner: dict[str, Any] = field.get("items") or next(iter(field.get("prefixItems", ())), {})
        return f"list of {_type(inner)}" if inner else "list"
    bounds = [
        f"{sign} {field[key]:g}"
        for key, sign in (
            ("exclusiveMinimum", ">"),
            ("minimum", ">="),
            ("exclusiveMaximum", "<"),
            ("maximum", "<="),
        )
        if key in field
    ]
    return " ".join([str(field.get("type", "any")), ", ".join(bounds)]).strip()


def _wide(console: Console) -> Console:
    """Return a console that does not wrap tables if the output is not a terminal."""
    return console if console.is_terminal else Console(file=console.file, width=200)


_STYLES = {"passed": "green", "failed": "bold red", "skipped": "yellow", "expected": "yellow"}
_WORDS = {"expected": "failed as expected"}
_WIDTH = 36  # of a check's name
_INDENT = 10  # of a message


def check_facts(found: FoundPlugin, results: Iterable[Result]) -> dict[str, Any]:
    """Return the results of a plugin's checks as JSON values."""
    results = list(results)
    return {
        "kind": found.plugin.kind,
        "name": found.plugin.name,
        "distribution": found.origin.distribution,
        "version": found.origin.version,
        "plugin": results[0].plugin if results else "",
        "counts": _counts(results),
        "checks": [{key: value for key, value in asdict(result).items() if key != "plugin"} for result in results],
    }


def print_results(found: FoundPlugin, results: Iterable[Result], console: Console) -> Iterator[Result]:
    """Print each result as it is consumed, then the counts."""
    plugin, origin = found.plugin, found.origin
    console.print(f"[bold]{plugin.kind} {plugin.name}[/]  {origin.distribution} {origin.version}", highlight=False)
    finished: list[Result] = []
    first: dict[str, str] = {}
    for result in results:
        _print(result, console, first.get(result.cause, ""))
        if result.cause:
            first.setdefault(result.cause, result.check)
        finished.append(result)
        yield result
    counts = _counts(finished)
    summary = ", ".join(f"{count} {_WORDS.get(outcome, outcome)}" for outcome, count in counts.items() if count)
    console.print(
        f"{summary}\n", style=_STYLES["failed"] if counts["failed"] else _STYLES["passed"], highlight=False
    )


def _print(result: Result, console: Console, as_in: str) -> None:
    """Print the line of a check, and its message unless the check `as_in` failed for the same reason."""
    outcome = _WORDS.get(result.outcome, result.outcome)
    line = Text(f" {outcome:8} ", style=_STYLES[result.outcome])
    if result.outcome == "passed":
        line.append(f"{result.check:{_WIDTH}}", style="default").append(f"{result.seconds:6.1f} s", style="dim")
    else:
        line.append(result.check, style="default").append(
            f" (for the same reason as {as_in})" if as_in else "", style="dim"
        )
    console.print(line, soft_wrap=True)
    if result.message and not as_in:
        wrapped = Padding(Text(result.message), (0, 0, 0, _INDENT))
        plain = Text(indent(result.message, " " * _INDENT))
        console.print(wrapped if console.is_terminal else plain, soft_wrap=not console.is_terminal)


def _counts(results: Iterable[Result]) -> dict[str, int]:
    """Return the number of results by outcome, in the order of `_STYLES`."""
    counted = Counter(result.outcome for result in results)
    return {outcome: counted[outcome] for outcome in _STYLES}  # type: ignore[index]
