"""Formatting of values in the messages of the checks: short, but different for different values."""

from __future__ import annotations

from typing import Any

__all__ = ["format_brief", "format_brief_pair"]

_DIGITS = 5
_MOST = 8


def format_brief(value: object, digits: int = _DIGITS) -> str:
    """Return a value as text: floats with few digits, long lists and dictionaries shortened."""
    if isinstance(value, float):
        return f"{value:.{digits}g}"
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        fields = zip(value._fields, value, strict=True)
        return f"{type(value).__name__}({', '.join(f'{name}={format_brief(one, digits)}' for name, one in fields)})"
    if isinstance(value, list | tuple):
        inside = _join_items([_format_item(one, digits) for one in value])
        return f"[{inside}]" if isinstance(value, list) else f"({inside}{',' if len(value) == 1 else ''})"
    if isinstance(value, dict):
        return f"{{{_join_items([f'{key}: {_format_item(one, digits)}' for key, one in value.items()])}}}"
    return str(value)


def format_brief_pair(expected: object, actual: object) -> tuple[str, str]:
    """Return two values as text, with more digits where they would otherwise look the same."""
    pair = format_brief(expected), format_brief(actual)
    for digits in (9, 17):
        if pair[0] == pair[1]:
            pair = format_brief(expected, digits), format_brief(actual, digits)
    return pair


def _format_item(value: Any, digits: int) -> str:
    return repr(value) if isinstance(value, str) else format_brief(value, digits)


def _join_items(parts: list[str]) -> str:
    if len(parts) <= _MOST:
        return ", ".join(parts)
    return ", ".join([*parts[: _MOST - 1], f"... ({len(parts)} in all)"])
