"""Evaluation: from pictures to numbers that carry their protocol and their error."""

from __future__ import annotations

from typing import TYPE_CHECKING

from noisette.lazy import exports

if TYPE_CHECKING:
    from noisette.evaluation.engine import evaluate
    from noisette.evaluation.pair import evaluate_pictures
    from noisette.evaluation.report import Report, Row
    from noisette.evaluation.set_statistics import Comparison, compare_sets
    from noisette.evaluation.sets import PictureSet

__all__ = ["Comparison", "PictureSet", "Report", "Row", "compare_sets", "evaluate", "evaluate_pictures"]

__getattr__, __dir__ = exports(
    __name__,
    {
        "Comparison": "noisette.evaluation.set_statistics",
        "PictureSet": "noisette.evaluation.sets",
        "Report": "noisette.evaluation.report",
        "Row": "noisette.evaluation.report",
        "compare_sets": "noisette.evaluation.set_statistics",
        "evaluate": "noisette.evaluation.engine",
        "evaluate_pictures": "noisette.evaluation.pair",
    },
)
