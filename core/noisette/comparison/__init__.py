"""Comparisons of samplers (a sweep over one model) and of several trained models: quality against cost."""

from __future__ import annotations

from typing import TYPE_CHECKING

from noisette.lazy import exports

if TYPE_CHECKING:
    from noisette.comparison.chart import Series, frontier, series_of
    from noisette.comparison.models import ComparisonResult, ModelComparison, compare_models
    from noisette.comparison.samplers import DEFAULT_STEPS, installed_samplers, parse_samplers, split_samplers
    from noisette.comparison.sweep import Sweep, SweepResult, compare

__all__ = [
    "DEFAULT_STEPS",
    "ComparisonResult",
    "ModelComparison",
    "Series",
    "Sweep",
    "SweepResult",
    "compare",
    "compare_models",
    "frontier",
    "installed_samplers",
    "parse_samplers",
    "series_of",
    "split_samplers",
]

__getattr__, __dir__ = exports(
    __name__,
    {
        "DEFAULT_STEPS": "noisette.comparison.samplers",
        "ModelComparison": "noisette.comparison.models",
        "ComparisonResult": "noisette.comparison.models",
        "Series": "noisette.comparison.chart",
        "Sweep": "noisette.comparison.sweep",
        "SweepResult": "noisette.comparison.sweep",
        "parse_samplers": "noisette.comparison.samplers",
        "compare": "noisette.comparison.sweep",
        "compare_models": "noisette.comparison.models",
        "frontier": "noisette.comparison.chart",
        "installed_samplers": "noisette.comparison.samplers",
        "series_of": "noisette.comparison.chart",
        "split_samplers": "noisette.comparison.samplers",
    },
)
