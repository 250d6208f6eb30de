"""The rows of a comparison of two sets: the floor, and the images that are judged."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from noisette.diffusion.noise import derive_seed
from noisette.errors import DataError
from noisette.evaluation.feature_cache import FeatureCache
from noisette.evaluation.plots import draw_neighbours
from noisette.evaluation.protocol import (
    describe_features,
    describe_plugins,
    describe_sets,
    describe_source,
    format_options,
    versions,
)
from noisette.evaluation.report import Report, Row
from noisette.evaluation.result_table import ResultTable
from noisette.evaluation.set_statistics import compare_states, compute_states, missing_requirements, set_metrics
from noisette.machine import Machine

if TYPE_CHECKING:
    from noisette.contracts import Estimate
    from noisette.contracts.metric import State
    from noisette.evaluation.sets import ImageSet
    from noisette.evaluation.sources import ComparisonRequest

__all__ = ["PairEvaluation"]

_MIN_REFERENCE = 4
"""Images that a reference must have to be divided for the floor."""


class PairEvaluation:
    """One comparison at work.

    Args:
        pair: what is compared.
        folder: where features are kept.
        tick: called with the images done so far.
        begin: called with what is computed next.
    """

    def __init__(
        self,
        request: ComparisonRequest,
        folder: Path,
        on_progress: Callable[[int], None],
        on_activity: Callable[[str], None] = lambda activity: None,
    ) -> None:
        self.request, self.on_progress, self.on_activity, self.done = request, on_progress, on_activity, 0
        self.generated, self.reference = request.generated.images(), request.reference.images()
        test = request.heldout.images() if request.heldout is not None else request.reference.test()
        features = request.features.fit(self.reference, test, folder)
        self.cache = FeatureCache(features, Machine.detect("fp32").device, folder)
        self.heldout = test.subset(len(self.generated), self._generator()) if test is not None else None
        self.floor = self._floor() if request.evaluation.baselines else None
        self.missing = self._find_missing()
        able = set_metrics(request.metrics, **self._capabilities)
        self.metrics = [metric for metric in able if metric.name not in self.missing]
        self.result_table = ResultTable(self.metrics)

    @property
    def sets(self) -> list[ImageSet]:
        """All sets of images."""
        apart = (
            [] if self.floor is None else [image_set for image_set in self.floor if image_set is not self.reference]
        )
        return [self.reference, *([self.heldout] if self.heldout else []), *apart, self.generated]

    @property
    def total(self) -> int:
        """How many images are looked at."""
        return sum(len(image_set) for image_set in {id(image_set): image_set for image_set in self.sets}.values())

    def draw_neighbours(self, directory: Path) -> dict[str, str]:
        """Draw what metrics found worth showing beside the reference; return the files' names by row."""
        sets = {self.request.generated.name: (self.generated, self.reference)}
        sets |= {} if self.floor is None else {self.floor[0].name: self.floor}
        return draw_neighbours(self.result_table.neighbours, sets, directory)

    def report(self, directory: Path) -> Report:
        """Compute every row of the report that will lie in `directory`.

        Raises:
            DataError: if no metric could be computed for any row.
        """
        rows = list(self._rows())
        notes = [f"{name} is left out: {why}" for name, why in self.missing.items()] + self.result_table.notes()
        if not self.result_table.columns:
            raise DataError("evaluate: no metric could be computed: " + "; ".join(notes))
        return Report(
            directory=directory,
            rows=rows,
            columns=self.result_table.columns,
            better=self.result_table.better,
            protocol=self._protocol(),
            details=self._details(),
            notes=[*self._remarks(), *notes],
        )

    def _rows(self) -> Iterator[Row]:
        real = self._states(self.reference, keep=True)
        held = self._states(self.heldout) if self.heldout is not None else None
        if self.floor is not None:
            judged, against = self.floor
            states = held if judged is self.heldout and held is not None else self._states(judged)
            others = real if against is self.reference else self._states(against)
            yield Row("floor", judged.name, results=self._results(judged.name, states, others, states))
        image_source = self.request.generated
        drawn = image_source.about.get("samples", {})
        cost = (drawn.get("steps"), drawn.get("network_calls"), drawn.get("seconds_per_image"))
        yield Row(
            "images",
            image_source.name,
            *cost,
            self._results(image_source.name, self._states(self.generated), real, held),
        )

    def _results(
        self, label: str, judged: list[State], real: list[State], held: list[State] | None
    ) -> dict[str, Estimate]:
        found = compare_states(
            judged,
            real,
            held,
            self.metrics,
            self.cache,
            on_activity=lambda metric: self.on_activity(f"computing {metric} of {label}"),
        )
        return self.result_table.add(label, found)

    def _states(self, image_set: ImageSet, *, keep: bool = False) -> list[State]:
        before = self.done
        states = compute_states(
            image_set, self.metrics, self.cache, keep=keep, on_progress=lambda done: self.on_progress(before + done)
        )
        self.done += len(image_set)
        return states

    def _generator(self) -> np.random.Generator:
        return np.random.default_rng(derive_seed(self.request.seed, "held-out"))

    def _floor(self) -> tuple[ImageSet, ImageSet] | None:
        """Return real images that are judged, and those they are compared with."""
        if self.heldout is not None:
            return self.heldout, self.reference
        if len(self.reference) < _MIN_REFERENCE:
            return None
        judged, others = self.reference.split(min(len(self.generated), len(self.reference) // 2), self._generator())
        name = self.reference.name
        return replace(judged, name=f"{len(judged)} of {name}"), replace(others, name=f"the rest of {name}")

    @property
    def _capabilities(self) -> dict[str, bool]:
        return {
            "labelled": self.reference.labels is not None,
            "has_classifier": self.request.features.has_classifier,
        }

    def _find_missing(self) -> dict[str, str]:
        missing = missing_requirements(self.request.metrics, **self._capabilities)
        judged, real = self.request.generated.shape, self.request.reference.shape
        for metric in self.request.metrics:
            if metric.needs == "model":
                missing[metric.name] = "it judges a model, and there are only images"
            elif metric.needs == "images" and judged != real:
                missing[metric.name] = f"it compares pixels, and the images are of {judged} and {real}: give a size"
        return missing

    def _protocol(self) -> dict[str, Any]:
        request, floor = self.request, self.floor
        return {
            **describe_features(self.cache),
            "generated": describe_source(request.generated),
            "reference": describe_source(request.reference),
            "dataset": request.reference.name,
            "reference_split": request.reference.about.get("split", "all"),
            "reference_count": len(self.reference),
            "heldout_split": "test" if self.heldout is not None else "the reference itself",
            "heldout_count": len(floor[0]) if floor is not None else 0,
            "floor_against": len(floor[1]) if floor is not None else 0,
            "generated_count": len(self.generated),
            "floor_seed": request.seed,
            **_describe_samples(request.generated.about.get("samples")),
            **versions(),
        }

    def _details(self) -> dict[str, Any]:
        request = self.request
        asked = {"generated": request.generated, "reference": request.reference, "heldout": request.heldout}
        samples = request.generated.about.get("samples")
        return {
            **describe_plugins(self.cache.features, request.metrics),
            "sides": {
                role: {"name": image_source.name, **image_source.about}
                for role, image_source in asked.items()
                if image_source is not None
            },
            "samplers": {request.generated.name: samples} if samples else {},
            "sets": describe_sets(self.sets),
        }

    def _remarks(self) -> list[str]:
        """Return what a reader must know of the images."""
        notes = []
        (_, *judged), (_, *real) = self.request.generated.shape, self.request.reference.shape
        if judged != real:
            notes.append(
                f"the judged images have {judged[1]}x{judged[0]} pixels and the real ones {real[1]}x{real[0]}: "
                "what scaling does to them is part of every number"
            )
        if self.floor is not None and self.floor[1] is not self.reference:
            notes.append(
                f"the floor is {len(self.floor[0])} images of the reference against its other "
                f"{len(self.floor[1])}: a distance that falls with their number, as the Fréchet distance does, "
                "is a little too high in its row"
            )
        return notes


def _describe_samples(about: dict[str, Any] | None) -> dict[str, Any]:
    names = ("seed", "checkpoint", "step", "ema", "clip")
    return {"samplers": format_options(about["sampler"]), **{name: about[name] for name in names}} if about else {}
