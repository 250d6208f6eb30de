"""Texts for people and file names: numbers, durations, rates and labels."""

from __future__ import annotations

import re
from math import floor, isfinite, log10

__all__ = ["format_duration", "format_estimate", "format_number", "format_rate", "slug"]


def slug(label: str) -> str:
    """Return a label as part of a file name: at most 80 characters; all but letters, digits and ._=,+- become _."""
    return re.sub(r"[^A-Za-z0-9._=,+-]", "_", label)[:80]


def format_number(value: float, digits: int = 4) -> str:
    """Return a number with about `digits` significant digits: ``153.2``, ``0.003142``, ``1.2e-07``."""
    if not isfinite(value) or value == 0 or not 1e-5 <= abs(value) < 1e6:
        return f"{value:.{digits - 2}g}"
    return f"{value:.{max(0, digits - 1 - floor(log10(abs(value))))}f}"


def format_estimate(value: float, stderr: float | None) -> str:
    """Return a value with the digits that its standard error allows: ``0.0123 ± 0.0008``; a count has no error."""
    if stderr is None or not isfinite(stderr) or stderr <= 0:
        return f"{value:.0f}" if value.is_integer() and abs(value) < 1e6 else format_number(value)
    leading = floor(log10(stderr))
    digits = 1 if stderr / 10**leading >= 3 else 2
    decimals = max(0, digits - 1 - leading)
    return f"{value:.{decimals}f} ± {stderr:.{decimals}f}"


def format_duration(seconds: float) -> str:
    """Return a time as ``0:07``, ``12:30`` or ``3:05:00``."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def format_rate(per_second: float, unit: str) -> str:
    """Return a rate as ``8.1 steps/s``, or ``2.4 s/step`` if it is below one."""
    if 0 < per_second < 1:
        return f"{format_number(1 / per_second, 2)} s/{unit.removesuffix('s')}"
    return f"{format_number(per_second, 2)} {unit}/s"
