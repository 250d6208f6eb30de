"""A sweep: one trained model drawn from by many samplers at many lengths, quality against cost."""

from __future__ import annotations

from typing import TYPE_CHECKING

from noisette.lazy import exports

if TYPE_CHECKING:
    from noisette.sweep.choice import STEPS, chosen, installed, split
    from noisette.sweep.contest import Contest, Decided, compare_models
    from noisette.sweep.engine import Sweep, Swept, compare
    from noisette.sweep.series import Series, frontier, series_of

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
        "STEPS": "noisette.sweep.choice",
        "Contest": "noisette.sweep.contest",
        "Decided": "noisette.sweep.contest",
        "Series": "noisette.sweep.series",
        "Sweep": "noisette.sweep.engine",
        "Swept": "noisette.sweep.engine",
        "chosen": "noisette.sweep.choice",
        "compare": "noisette.sweep.engine",
        "compare_models": "noisette.sweep.contest",
        "frontier": "noisette.sweep.series",
        "installed": "noisette.sweep.choice",
        "series_of": "noisette.sweep.series",
        "split": "noisette.sweep.choice",
    },
)
