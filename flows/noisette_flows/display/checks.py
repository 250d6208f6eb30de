"""Results of the conformance kit: a line for each check as it ends, and the number of checks by outcome."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from textwrap import indent
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from noisette.plugins import FoundPlugin

if TYPE_CHECKING:
    from noisette.testing import Result

__all__ = ["facts", "print_results"]

_STYLES = {"passed": "green", "failed": "bold red", "skipped": "yellow", "expected": "yellow"}
_WORDS = {"expected": "failed as expected"}
_WIDTH = 36  # of a check's name
_INDENT = 10  # of a message


def facts(found: FoundPlugin, results: Iterable[Result]) -> dict[str, Any]:
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
