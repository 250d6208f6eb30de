"""The rows of an evaluation: the floor, the samplers, and noise, all compared with one reference."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from noisette.diffusion.signal import find_schedule_problems, find_start_problems
from noisette.errors import DataError
from noisette.evaluation import sets
from noisette.evaluation.feature_cache import FeatureCache
from noisette.evaluation.plots import draw_neighbours
from noisette.evaluation.protocol import details, protocol
from noisette.evaluation.report import Report, Row
from noisette.evaluation.result_table import ResultTable
from noisette.evaluation.set_statistics import compare_states, compute_states, missing_requirements, set_metrics
from noisette.evaluation.sets import ImageSet
from noisette.machine import Machine
from noisette.sampling.samples import check_comparable_timings

if TYPE_CHECKING:
    from noisette.config import Experiment
    from noisette.contracts import Estimate
    from noisette.contracts.metric import State
    from noisette.data import Prepared
    from noisette.sampling import Samples

__all__ = ["SamplerEvaluation"]


class SamplerEvaluation:
    """One evaluation at work.

    Args:
        experiment: features, metrics, baselines and the seed.
        data: the real images.
        samples: the samplers' images.
        folder: where features are kept.
        tick: called with the images done so far.
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
        on_progress: Callable[[int], None],
        on_activity: Callable[[str], None] = lambda activity: None,
    ) -> None:
        self.on_activity = on_activity
        self.experiment, self.data, self.samples, self.on_progress, self.done = (
            experiment,
            data,
            samples,
            on_progress,
            0,
        )
        evaluation = experiment.evaluation
        self.reference = sets.reference(data)
        features = evaluation.features.fit(self.reference, sets.test(data), folder)
        self.cache = FeatureCache(features, Machine.detect("fp32").device, folder)
        self.generated = [_to_image_set(image_set, data) for image_set in samples]
        most = max(map(len, self.generated))
        self.heldout = sets.heldout(data, most, experiment.seed)
        self.noise = [sets.noise(data.shape, most, experiment.seed)] if evaluation.baselines else []
        self.capabilities = {
            "labelled": self.reference.labels is not None,
            "has_classifier": evaluation.features.has_classifier,
        }
        self.metrics = set_metrics(evaluation.metrics, **self.capabilities)
        self.result_table = ResultTable(self.metrics)

    @property
    def sets(self) -> list[ImageSet]:
        """All sets of images, in the order they are read."""
        return [self.reference, self.heldout, *self.generated, *self.noise]

    def draw_neighbours(self, directory: Path) -> dict[str, str]:
        """Draw what metrics found worth showing beside the reference; return the files' names by row."""
        sets = {image_set.name: (image_set, self.reference) for image_set in (self.heldout, *self.generated)}
        return draw_neighbours(self.result_table.neighbours, sets, directory)

    def report(self, directory: Path) -> Report:
        """Compute every row of the report that will lie in `directory`.

        Raises:
            DataError: if no metric could be computed for any row.
        """
        rows = list(self._rows())
        notes = self._notes()
        if self.metrics and not self.result_table.columns:
            raise DataError("evaluate: no metric could be computed: " + "; ".join(notes))
        return Report(
            directory=directory,
            rows=rows,
            columns=self.result_table.columns,
            better=self.result_table.better,
            protocol=protocol(self.experiment, self.data, self.samples, self.reference, self.heldout, self.cache),
            details=details(self.experiment, self.samples, self.sets, self.cache),
            notes=notes,
        )

    def _rows(self) -> Iterator[Row]:
        real = self._states(self.reference, keep=True)
        held = self._states(self.heldout)

        def judged(kind: Literal["floor", "sampler", "noise"], image_set: ImageSet) -> dict[str, Estimate]:
            states = held if kind == "floor" else self._states(image_set)
            return self._results(image_set.name, states, real, held)

        if self.noise:
            yield Row("floor", self.heldout.name, results=judged("floor", self.heldout))
        for samples, image_set in zip(self.samples, self.generated, strict=True):
            about = samples.about
            speed = float(about["seconds_per_image"])
            yield Row(
                "sampler",
                image_set.name,
                about["steps"],
                about["network_calls"],
                speed,
                judged("sampler", image_set),
            )
        for image_set in self.noise:
            yield Row("noise", image_set.name, results=judged("noise", image_set))

    def _states(self, image_set: ImageSet, *, keep: bool = False) -> list[State]:
        before = self.done
        states = compute_states(
            image_set, self.metrics, self.cache, keep=keep, on_progress=lambda done: self.on_progress(before + done)
        )
        self.done += len(image_set)
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
            on_activity=lambda metric: self.on_activity(f"computing {metric} of {label}"),
        )
        return self.result_table.add(label, found)

    def _notes(self) -> list[str]:
        notes = self._remarks()
        held, most = len(self.heldout), max(map(len, self.generated))
        if held < most:
            notes.append(
                f"only {held} held-out images for {most} drawn: a distance that falls with their number, "
                "as the Fréchet distance does, is too high in their row"
            )
        if len({len(image_set) for image_set in self.generated}) > 1:
            counts = ", ".join(f"{image_set.name} {len(image_set)}" for image_set in self.generated)
            notes.append(f"the samplers drew different numbers of images ({counts}): compare with care")
        if apart := check_comparable_timings({generated.label: generated.about for generated in self.samples}):
            notes.append(apart)
        missing = missing_requirements(self.experiment.evaluation.metrics, **self.capabilities)
        notes += [f"{name} is left out: {reason}" for name, reason in missing.items()]
        return notes + self.result_table.notes()

    def _remarks(self) -> list[str]:
        """Return what is wrong with the ends of the process, and with where the samplers begin."""
        process = self.experiment.schedule.process(self.experiment.timesteps)
        remarks = find_schedule_problems(process)
        for image_set in self.samples:
            spacing: Any = image_set.about["sampler"]["spacing"]  # a list in JSON
            listed = tuple(spacing) if isinstance(spacing, list) else spacing
            timesteps = process.timesteps(image_set.about["sampler"]["steps"], listed)
            remarks += [f"{image_set.label} {remark}" for remark in find_start_problems(process, timesteps)]
        return remarks


def _to_image_set(samples: Samples, data: Prepared) -> ImageSet:
    images = samples.images
    if images.shape[1:] != data.shape:
        raise DataError(f"{samples.label}: expected images of {data.shape}; got {images.shape[1:]}")
    return ImageSet(samples.label, images)
