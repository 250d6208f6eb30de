"""A sweep: one trained model drawn from by many samplers at many lengths, quality against cost."""

from __future__ import annotations

from typing import TYPE_CHECKING

from noisette.lazy import exports

if TYPE_CHECKING:
    from noisette.comparison.chart import Series, frontier, series_of
    from noisette.comparison.choice import STEPS, chosen, installed, split
    from noisette.comparison.models import Contest, Decided, compare_models
    from noisette.comparison.sweep import Sweep, Swept, compare

__all__ = [
    "STEPS",
    "Contest",
    "Decided",
    "Series",
    "Sweep",
    "Swept",
    "chosen",
    "compare",
    "compare_models",
    "frontier",
    "installed",
    "series_of",
    "split",
]

__getattr__, __dir__ = exports(
    __name__,
    {
        "STEPS": "noisette.comparison.choice",
        "Contest": "noisette.comparison.models",
        "Decided": "noisette.comparison.models",
        "Series": "noisette.comparison.chart",
        "Sweep": "noisette.comparison.sweep",
        "Swept": "noisette.comparison.sweep",
        "chosen": "noisette.comparison.choice",
        "compare": "noisette.comparison.sweep",
        "compare_models": "noisette.comparison.models",
        "frontier": "noisette.comparison.chart",
        "installed": "noisette.comparison.choice",
        "series_of": "noisette.comparison.chart",
        "split": "noisette.comparison.choice",
    },
)
