"""The report of an evaluation, row by row: the floor, sets of images and noise, all compared with one reference."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from noisette.diffusion.noise import derive_seed
from noisette.errors import DataError
from noisette.evaluation.feature_cache import FeatureCache
from noisette.evaluation.plots import draw_neighbours
from noisette.evaluation.report import Report, Row
from noisette.evaluation.set_statistics import compare_states, compute_states, missing_requirements
from noisette.machine import Machine

if TYPE_CHECKING:
    from noisette.config import Evaluation
    from noisette.contracts import Estimate, Neighbours
    from noisette.contracts.metric import State
    from noisette.evaluation.sets import ImageSet

__all__ = ["ReportBuilder", "RowImages"]

_MIN_SPLIT = 4
"""Number of images that a reference needs to be split for the floor."""


@dataclass(frozen=True)
class RowImages:
    """The images of one row of a report.

    Attributes:
        kind: of the row.
        images: the images; their name is the label of the row.
        cost: steps, network calls and seconds per image, of a sampler.
        reference: what they are compared with; None for the reference of the report.
    """

    kind: Literal["floor", "sampler", "images", "noise"]
    images: ImageSet
    cost: tuple[int | None, int | None, float | None] = (None, None, None)
    reference: ImageSet | None = None


class ReportBuilder:
    """Computes the metrics of all rows, reading each set of images once.

    With `evaluation.baselines` the first row is the floor: held-out real images or, without any, a part of the
    reference compared with the rest of it.

    Args:
        evaluation: features, metrics, and whether there are baselines.
        reference: the real images.
        test: real images that the reference does not contain, or None. As many of them are held out as the largest
            row has images.
        rows: the rows without the floor.
        folder: cache of features.
        seed: chooses the held-out images.
        on_progress: called with the number of images processed so far.
        on_activity: called with a description of the current computation.
    """

    def __init__(
        self,
        evaluation: Evaluation,
        reference: ImageSet,
        test: ImageSet | None,
        rows: Sequence[RowImages],
        folder: Path,
        seed: int,
        on_progress: Callable[[int], None],
        on_activity: Callable[[str], None] = lambda activity: None,
    ) -> None:
        self.reference, self.on_progress, self.on_activity, self.done = reference, on_progress, on_activity, 0
        features = evaluation.features.fit(reference, test, folder)
        self.cache = FeatureCache(features, Machine.detect("fp32").device, folder)
        count, generator = (
            max(len(row.images) for row in rows),
            np.random.default_rng(derive_seed(seed, "held-out")),
        )
        self.heldout = test.subset(count, generator) if test is not None else None
        self.floor = self._floor(count, generator) if evaluation.baselines else None
        self.rows = [*([self.floor] if self.floor else []), *rows]
        self.missing = self._find_missing(evaluation)
        self.metrics = [
            metric for metric in evaluation.metrics if metric.needs != "model" and metric.name not in self.missing
        ]
        self._origins: dict[str, int] = {}
        self._left_out: dict[tuple[str, str], list[str]] = {}
        self._neighbours: dict[str, list[Neighbours]] = {}

    @property
    def sets(self) -> list[ImageSet]:
        """All different sets of images, in the order in which they are read."""
        heldout = [self.heldout] if self.heldout is not None else []
        rows = [images for row in self.rows for images in (row.images, row.reference) if images is not None]
        return list({id(images): images for images in (self.reference, *heldout, *rows)}.values())

    @property
    def total(self) -> int:
        """How many images are read."""
        return sum(map(len, self.sets))

    def build(
        self, directory: Path, protocol: dict[str, Any], details: dict[str, Any], notes: Sequence[str]
    ) -> Report:
        """Compute the report of `directory`; `notes` come before those on metrics that are left out.

        Raises:
            DataError: if no metric could be computed for any row.
        """
        rows = self._compute_rows()
        columns = sorted(self._origins, key=lambda column: self._origins[column])
        if not columns and self.metrics:
            raise self.no_metric_error()
        return Report(
            directory=directory,
            rows=rows,
            columns=columns,
            better={column: self.metrics[self._origins[column]].better for column in columns},
            protocol=protocol,
            details=details,
            notes=[*notes, *self._missing_notes()],
        )

    def draw_neighbours(self, directory: Path) -> dict[str, str]:
        """Draw images of the rows next to their nearest reference images; return the files' names by row."""
        sets = {
            row.images.name: (row.images, row.reference or self.reference)
            for row in self.rows
            if row.kind != "noise"
        }
        return draw_neighbours(self._neighbours, sets, directory)

    def no_metric_error(self) -> DataError:
        """Return the error of an evaluation without a single result."""
        return DataError("evaluate: no metric could be computed: " + "; ".join(self._missing_notes()))

    def _floor(self, count: int, generator: np.random.Generator) -> RowImages | None:
        if self.heldout is not None:
            return RowImages("floor", self.heldout)
        if len(self.reference) < _MIN_SPLIT:
            return None
        part, rest = self.reference.split(min(count, len(self.reference) // 2), generator)
        name = self.reference.name
        part, rest = replace(part, name=f"{len(part)} of {name}"), replace(rest, name=f"the rest of {name}")
        return RowImages("floor", part, reference=rest)

    def _find_missing(self, evaluation: Evaluation) -> dict[str, str]:
        """Return why metrics cannot be computed for any row, by their names."""
        missing = missing_requirements(
            evaluation.metrics,
            labelled=self.reference.labels is not None,
            has_classifier=evaluation.features.has_classifier,
        )
        last = self.rows[-1]
        shape, expected = (images.images.shape[1:] for images in (last.images, self.reference))
        for metric in evaluation.metrics:
            if metric.needs == "model" and last.kind == "images":
                missing[metric.name] = "it judges a model, and there are only images"
            elif metric.needs == "images" and shape != expected:
                missing[metric.name] = (
                    f"it compares pixels, and the images are of {shape} and {expected}: give a size"
                )
        return missing

    def _compute_rows(self) -> list[Row]:
        real = self._states(self.reference, keep=True)
        heldout = self._states(self.heldout) if self.heldout is not None else None
        rows = []
        for row in self.rows:
            states = heldout if row.images is self.heldout and heldout is not None else self._states(row.images)
            reference = real if row.reference is None else self._states(row.reference)
            results = self._compare(row, states, reference, states if row.kind == "floor" else heldout)
            rows.append(Row(row.kind, row.images.name, *row.cost, results))
        return rows

    def _states(self, images: ImageSet, *, keep: bool = False) -> list[State]:
        start = self.done
        states = compute_states(
            images, self.metrics, self.cache, keep=keep, on_progress=lambda done: self.on_progress(start + done)
        )
        self.done += len(images)
        return states

    def _compare(
        self, row: RowImages, states: list[State], reference: list[State], heldout: list[State] | None
    ) -> dict[str, Estimate]:
        label = row.images.name
        comparison = compare_states(
            states,
            reference,
            heldout,
            self.metrics,
            self.cache,
            on_activity=lambda metric: self.on_activity(f"computing {metric} of {label}"),
        )
        self._origins = comparison.origin | self._origins
        self._neighbours[label] = comparison.neighbours
        for metric_and_reason in comparison.left_out.items():
            self._left_out.setdefault(metric_and_reason, []).append(label)
        return comparison.results

    def _missing_notes(self) -> list[str]:
        """Return which metrics are left out of all rows or of some, and why."""
        notes = [f"{name} is left out: {reason}" for name, reason in self.missing.items()]
        for (name, reason), labels in self._left_out.items():
            rows = "" if len(labels) == len(self.rows) else f" for {', '.join(labels)}"
            notes.append(f"{name} is left out{rows}: {reason}")
        return notes
