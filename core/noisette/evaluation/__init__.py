"""Evaluation: from images to numbers that carry their protocol and their error."""

from __future__ import annotations

from typing import TYPE_CHECKING

from noisette.lazy import exports

if TYPE_CHECKING:
    from noisette.evaluation.engine import evaluate, evaluate_images
    from noisette.evaluation.report import Report, Row
    from noisette.evaluation.set_statistics import Comparison, compare_sets
    from noisette.evaluation.sets import ImageSet

__all__ = ["Comparison", "ImageSet", "Report", "Row", "compare_sets", "evaluate", "evaluate_images"]

__getattr__, __dir__ = exports(
    __name__,
    {
        "Comparison": "noisette.evaluation.set_statistics",
        "ImageSet": "noisette.evaluation.sets",
        "Report": "noisette.evaluation.report",
        "Row": "noisette.evaluation.report",
        "compare_sets": "noisette.evaluation.set_statistics",
        "evaluate": "noisette.evaluation.engine",
        "evaluate_images": "noisette.evaluation.engine",
    },
)
