"""The rows of an evaluation: the floor, the samplers, and noise, all compared with one reference."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from noisette.diffusion.signal import remarks_on_schedule, remarks_on_start
from noisette.errors import DataError
from noisette.evaluation import sets
from noisette.evaluation.feature_cache import FeatureCache
from noisette.evaluation.gathered import Gathered
from noisette.evaluation.plots import draw_neighbours
from noisette.evaluation.protocol import details, protocol
from noisette.evaluation.report import Report, Row
from noisette.evaluation.set_statistics import compare_states, lacking, metrics_of_sets, statistics
from noisette.evaluation.sets import PictureSet
from noisette.machine import Machine
from noisette.sampling.samples import not_comparable

if TYPE_CHECKING:
    from noisette.config import Experiment
    from noisette.contracts import Estimate
    from noisette.contracts.metric import State
    from noisette.data import Prepared
    from noisette.sampling import Samples

__all__ = ["Table"]


class Table:
    """One evaluation at work.

    Args:
        experiment: features, metrics, baselines and the seed.
        data: the real pictures.
        samples: the samplers' pictures.
        folder: where features are kept.
        tick: called with the pictures done so far.
        begin: called with what is computed next.

    Raises:
        DataError: if samples have another shape than the data.
    """

    def __init__(
        self,
        experiment: Experiment,
        data: Prepared,
        samples: Sequence[Samples],
        folder: Path,
        tick: Callable[[int], None],
        begin: Callable[[str], None] = lambda activity: None,
    ) -> None:
        self.begin = begin
        self.experiment, self.data, self.samples, self.tick, self.done = experiment, data, samples, tick, 0
        evaluation = experiment.evaluation
        self.reference = sets.reference(data)
        features = evaluation.features.fitted(self.reference, sets.test(data), folder)
        self.cache = FeatureCache(features, Machine.here("fp32").device, folder)
        self.drawn = [_drawn(some, data) for some in samples]
        most = max(map(len, self.drawn))
        self.heldout = sets.heldout(data, most, experiment.seed)
        self.noise = [sets.noise(data.shape, most, experiment.seed)] if evaluation.baselines else []
        self.has = {
            "labelled": self.reference.labels is not None,
            "classifies": evaluation.features.classifies,
        }
        self.metrics = metrics_of_sets(evaluation.metrics, **self.has)
        self.gathered = Gathered(self.metrics)

    @property
    def sets(self) -> list[PictureSet]:
        """All sets of pictures, in the order they are read."""
        return [self.reference, self.heldout, *self.drawn, *self.noise]

    def draw_neighbours(self, directory: Path) -> dict[str, str]:
        """Draw what metrics found worth showing beside the reference; return the files' names by row."""
        sets = {some.name: (some, self.reference) for some in (self.heldout, *self.drawn)}
        return draw_neighbours(self.gathered.neighbours, sets, directory)

    def report(self, directory: Path) -> Report:
        """Compute every row of the report that will lie in `directory`.

        Raises:
            DataError: if no metric could be computed for any row.
        """
        rows = list(self._rows())
        notes = self._notes()
        if self.metrics and not self.gathered.columns:
            raise DataError("evaluate: no metric could be computed: " + "; ".join(notes))
        return Report(
            directory=directory,
            rows=rows,
            columns=self.gathered.columns,
            better=self.gathered.better,
            protocol=protocol(self.experiment, self.data, self.samples, self.reference, self.heldout, self.cache),
            details=details(self.experiment, self.samples, self.sets, self.cache),
            notes=notes,
        )

    def _rows(self) -> Iterator[Row]:
        real = self._states(self.reference, keep=True)
        held = self._states(self.heldout)

        def judged(kind: Literal["floor", "sampler", "noise"], some: PictureSet) -> dict[str, Estimate]:
            states = held if kind == "floor" else self._states(some)
            return self._results(some.name, states, real, held)

        if self.noise:
            yield Row("floor", self.heldout.name, results=judged("floor", self.heldout))
        for samples, some in zip(self.samples, self.drawn, strict=True):
            about = samples.about
            speed = float(about["seconds_per_picture"])
            yield Row("sampler", some.name, about["steps"], about["network_calls"], speed, judged("sampler", some))
        for some in self.noise:
            yield Row("noise", some.name, results=judged("noise", some))

    def _states(self, some: PictureSet, *, keep: bool = False) -> list[State]:
        before = self.done
        states = statistics(some, self.metrics, self.cache, keep=keep, tick=lambda done: self.tick(before + done))
        self.done += len(some)
        return states

    def _results(
        self, label: str, judged: list[State], real: list[State], held: list[State]
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

    def _notes(self) -> list[str]:
        notes = self._remarks()
        held, most = len(self.heldout), max(map(len, self.drawn))
        if held < most:
            notes.append(
                f"only {held} held-out pictures for {most} drawn: a distance that falls with their number, "
                "as the Fréchet distance does, is too high in their row"
            )
        if len({len(some) for some in self.drawn}) > 1:
            counts = ", ".join(f"{some.name} {len(some)}" for some in self.drawn)
            notes.append(f"the samplers drew different numbers of pictures ({counts}): compare with care")
        if apart := not_comparable({drawn.label: drawn.about for drawn in self.samples}):
            notes.append(apart)
        lacks = lacking(self.experiment.evaluation.metrics, **self.has)
        notes += [f"{name} is left out: {reason}" for name, reason in lacks.items()]
        return notes + self.gathered.notes()

    def _remarks(self) -> list[str]:
        """Return what is wrong with the ends of the process, and with where the samplers begin."""
        tables = self.experiment.schedule.process(self.experiment.timesteps)
        remarks = remarks_on_schedule(tables)
        for some in self.samples:
            spacing: Any = some.about["sampler"]["spacing"]  # a list in JSON
            listed = tuple(spacing) if isinstance(spacing, list) else spacing
            walk = tables.timesteps(some.about["sampler"]["steps"], listed)
            remarks += [f"{some.label} {remark}" for remark in remarks_on_start(tables, walk)]
        return remarks


def _drawn(samples: Samples, data: Prepared) -> PictureSet:
    pictures = samples.pictures
    if pictures.shape[1:] != data.shape:
        raise DataError(f"{samples.label}: expected pictures of {data.shape}; got {pictures.shape[1:]}")
    return PictureSet(samples.label, pictures)
