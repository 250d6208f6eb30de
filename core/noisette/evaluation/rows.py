"""The rows of a comparison of two sets: the floor, and the pictures that are judged."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from noisette.diffusion.noise import derive_seed
from noisette.errors import DataError
from noisette.evaluation.feature_cache import FeatureCache
from noisette.evaluation.gathered import Gathered
from noisette.evaluation.plots import draw_neighbours
from noisette.evaluation.protocol import of_features, of_plugins, of_sets, of_side, said, versions
from noisette.evaluation.report import Report, Row
from noisette.evaluation.set_statistics import compare_states, lacking, metrics_of_sets, statistics
from noisette.machine import Machine

if TYPE_CHECKING:
    from noisette.contracts import Estimate
    from noisette.contracts.metric import State
    from noisette.evaluation.sets import PictureSet
    from noisette.evaluation.sources import Pair

__all__ = ["Rows"]

_ENOUGH = 4
"""Pictures that a reference must have to be divided for the floor."""


class Rows:
    """One comparison at work.

    Args:
        pair: what is compared.
        folder: where features are kept.
        tick: called with the pictures done so far.
        begin: called with what is computed next.
    """

    def __init__(
        self,
        pair: Pair,
        folder: Path,
        tick: Callable[[int], None],
        begin: Callable[[str], None] = lambda activity: None,
    ) -> None:
        self.pair, self.tick, self.begin, self.done = pair, tick, begin, 0
        self.generated, self.reference = pair.generated.pictures(), pair.reference.pictures()
        test = pair.heldout.pictures() if pair.heldout is not None else pair.reference.test()
        features = pair.features.fitted(self.reference, test, folder)
        self.cache = FeatureCache(features, Machine.here("fp32").device, folder)
        self.heldout = test.some(len(self.generated), self._draw()) if test is not None else None
        self.floor = self._floor() if pair.evaluation.baselines else None
        self.lacks = self._lacks()
        able = metrics_of_sets(pair.metrics, **self._has)
        self.metrics = [metric for metric in able if metric.name not in self.lacks]
        self.gathered = Gathered(self.metrics)

    @property
    def sets(self) -> list[PictureSet]:
        """All sets of pictures."""
        apart = [] if self.floor is None else [some for some in self.floor if some is not self.reference]
        return [self.reference, *([self.heldout] if self.heldout else []), *apart, self.generated]

    @property
    def total(self) -> int:
        """How many pictures are looked at."""
        return sum(len(some) for some in {id(some): some for some in self.sets}.values())

    def draw_neighbours(self, directory: Path) -> dict[str, str]:
        """Draw what metrics found worth showing beside the reference; return the files' names by row."""
        sets = {self.pair.generated.name: (self.generated, self.reference)}
        sets |= {} if self.floor is None else {self.floor[0].name: self.floor}
        return draw_neighbours(self.gathered.neighbours, sets, directory)

    def report(self, directory: Path) -> Report:
        """Compute every row of the report that will lie in `directory`.

        Raises:
            DataError: if no metric could be computed for any row.
        """
        rows = list(self._rows())
        notes = [f"{name} is left out: {why}" for name, why in self.lacks.items()] + self.gathered.notes()
        if not self.gathered.columns:
            raise DataError("evaluate: no metric could be computed: " + "; ".join(notes))
        return Report(
            directory=directory,
            rows=rows,
            columns=self.gathered.columns,
            better=self.gathered.better,
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
        side = self.pair.generated
        drawn = side.about.get("samples", {})
        cost = (drawn.get("steps"), drawn.get("network_calls"), drawn.get("seconds_per_picture"))
        yield Row("pictures", side.name, *cost, self._results(side.name, self._states(self.generated), real, held))

    def _results(
        self, label: str, judged: list[State], real: list[State], held: list[State] | None
    ) -> dict[str, Estimate]:
        found = compare_states(
            judged,
            real,
            held,
            self.metrics,
            self.cache,
            begin=lambda metric: self.begin(f"computing {metric} of {label}"),
        )
        return self.gathered.add(label, found)

    def _states(self, some: PictureSet, *, keep: bool = False) -> list[State]:
        before = self.done
        states = statistics(some, self.metrics, self.cache, keep=keep, tick=lambda done: self.tick(before + done))
        self.done += len(some)
        return states

    def _draw(self) -> np.random.Generator:
        return np.random.default_rng(derive_seed(self.pair.seed, "held-out"))

    def _floor(self) -> tuple[PictureSet, PictureSet] | None:
        """Return real pictures that are judged, and those they are compared with."""
        if self.heldout is not None:
            return self.heldout, self.reference
        if len(self.reference) < _ENOUGH:
            return None
        judged, others = self.reference.parted(min(len(self.generated), len(self.reference) // 2), self._draw())
        name = self.reference.name
        return replace(judged, name=f"{len(judged)} of {name}"), replace(others, name=f"the rest of {name}")

    @property
    def _has(self) -> dict[str, bool]:
        return {"labelled": self.reference.labels is not None, "classifies": self.pair.features.classifies}

    def _lacks(self) -> dict[str, str]:
        lacks = lacking(self.pair.metrics, **self._has)
        judged, real = self.pair.generated.shape, self.pair.reference.shape
        for metric in self.pair.metrics:
            if metric.needs == "model":
                lacks[metric.name] = "it judges a model, and there are only pictures"
            elif metric.needs == "pictures" and judged != real:
                lacks[metric.name] = f"it compares pixels, and the pictures are of {judged} and {real}: give a size"
        return lacks

    def _protocol(self) -> dict[str, Any]:
        pair, floor = self.pair, self.floor
        return {
            **of_features(self.cache),
            "generated": of_side(pair.generated),
            "reference": of_side(pair.reference),
            "dataset": pair.reference.name,
            "reference_split": pair.reference.about.get("split", "all"),
            "reference_count": len(self.reference),
            "heldout_split": "test" if self.heldout is not None else "the reference itself",
            "heldout_count": len(floor[0]) if floor is not None else 0,
            "floor_against": len(floor[1]) if floor is not None else 0,
            "generated_count": len(self.generated),
            "floor_seed": pair.seed,
            **_of_samples(pair.generated.about.get("samples")),
            **versions(),
        }

    def _details(self) -> dict[str, Any]:
        pair = self.pair
        asked = {"generated": pair.generated, "reference": pair.reference, "heldout": pair.heldout}
        samples = pair.generated.about.get("samples")
        return {
            **of_plugins(self.cache.features, pair.metrics),
            "sides": {role: {"name": side.name, **side.about} for role, side in asked.items() if side is not None},
            "samplers": {pair.generated.name: samples} if samples else {},
            "sets": of_sets(self.sets),
        }

    def _remarks(self) -> list[str]:
        """Return what a reader must know of the pictures."""
        notes = []
        (_, *judged), (_, *real) = self.pair.generated.shape, self.pair.reference.shape
        if judged != real:
            notes.append(
                f"the judged pictures have {judged[1]}x{judged[0]} pixels and the real ones {real[1]}x{real[0]}: "
                "what scaling does to them is part of every number"
            )
        if self.floor is not None and self.floor[1] is not self.reference:
            notes.append(
                f"the floor is {len(self.floor[0])} pictures of the reference against its other "
                f"{len(self.floor[1])}: a distance that falls with their number, as the Fréchet distance does, "
                "is a little too high in its row"
            )
        return notes


def _of_samples(about: dict[str, Any] | None) -> dict[str, Any]:
    names = ("seed", "checkpoint", "step", "ema", "clip")
    return {"samplers": said(about["sampler"]), **{name: about[name] for name in names}} if about else {}
