"""A sweep: one trained model sampled by many samplers at many lengths, and the charts of it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from noisette.checkpoint import Checkpoint
from noisette.comparison.chart import chart_columns, label_without_steps
from noisette.comparison.samplers import DEFAULT_STEPS, expand_steps, installed_samplers, parse_samplers
from noisette.config import Experiment, apply_overrides
from noisette.contracts import Sampler
from noisette.data.prepared import Prepared
from noisette.errors import ConfigError, DataError
from noisette.evaluation.report import Report
from noisette.find import find_checkpoint
from noisette.layout import data_directory, evaluation_directory, samples_directory, sweep_directory
from noisette.sampling.samples import Samples
from noisette.storage import committed, is_complete, read_manifest

if TYPE_CHECKING:
    from noisette.events import Events

__all__ = ["Sweep", "SweepRequest", "SweepResult", "compare", "read_sweep_requests"]


@dataclass(frozen=True)
class SweepRequest:
    """The walks of one sweep.

    Attributes:
        checkpoint: digest of the model.
        labels: of the walks, in the order of the table.
        samples: names of the directories of their images.
    """

    checkpoint: str
    labels: list[str]
    samples: list[str]

    def write(self, directory: Path) -> None:
        """Write it beside the directory of the sweep, whole or not at all."""
        directory.parent.mkdir(parents=True, exist_ok=True)
        staging = directory.with_name(f".{directory.name}-{os.getpid()}")
        staging.write_text(json.dumps(asdict(self), indent=1) + "\n", encoding="utf-8")
        staging.replace(directory.with_name(f"{directory.name}.json"))

    def matches(self, report: Report) -> bool:
        """Return whether a report is the sweep's."""
        same = set(report.details["samplers"]) == set(self.labels)
        return same and report.protocol["checkpoint"] == self.checkpoint


def read_sweep_requests(run: Path) -> Iterator[SweepRequest]:
    """Yield what the sweeps of a run directory ask for; a file that cannot be read asks for nothing."""
    for path in sorted((run / "sweeps").glob("*.json")):
        try:
            yield SweepRequest(**json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            continue


KIND = "sweep"


@dataclass(frozen=True)
class SweepResult:
    """A finished sweep.

    Attributes:
        directory: holds a PNG and an SVG for each chart.
        report: every walk's numbers, with the floor and noise.
        charts: the PNG file of each column that has one, in the report's order.
    """

    directory: Path
    report: Report
    charts: dict[str, Path]

    @classmethod
    def open(cls, directory: Path) -> SweepResult | None:
        """Return the sweep of this directory if it is finished; looks at sizes only."""
        if not is_complete(directory, KIND):
            return None
        about = read_manifest(directory, KIND).about
        report = Report.finished(directory.parent.parent / "evaluations" / about["evaluation"])
        if report is None:
            return None
        return cls(directory, report, {column: directory / f"{column}.png" for column in about["charts"]})


@dataclass(frozen=True)
class Sweep:
    """One trained model, and the walks it is compared in.

    Attributes:
        trained: the experiment that the model is of.
        checkpoint: the model.
        experiment: the same experiment with the walks as its samplers, grouped by sampler.
        root: folder of all results.
        notes: what a reader must know, such as lengths that were left out.
    """

    trained: Experiment
    checkpoint: Checkpoint
    experiment: Experiment
    root: Path
    notes: tuple[str, ...]

    @classmethod
    def of(
        cls,
        place: Path | str,
        samplers: Sequence[Any] = (),
        steps: Sequence[int] = DEFAULT_STEPS,
        *,
        count: int = 500,
        features: Any = None,
        metrics: Sequence[Any] = (),
        overrides: Sequence[str] | Mapping[str, Any] = (),
        output: Path | str | None = None,
    ) -> Sweep:
        """Return the sweep over a trained model.

        Args:
            place: a checkpoint's directory, a run's directory, or the YAML file of a trained experiment.
            samplers: what to compare, as `parse_samplers` takes it; every installed sampler if there are none.
            steps: lengths of the walks; those beyond the trained steps are left out.
            count: images of each walk.
            features, metrics: what to judge by, as a config says it; the experiment's own if not given.
            overrides: changes of the YAML file's experiment.
            output: folder of all results; that which the run lies in, and "runs" for a YAML file, if not given.

        Raises:
            CheckpointError: if there is no trained model.
            ConfigError: if the experiment, the samplers, features or metrics have problems.
        """
        place = Path(place)
        root = Path(output or ("runs" if place.is_file() else "."))
        checkpoint = find_checkpoint(place.absolute() if place.is_dir() else place, root, overrides)
        if place.is_dir() and output is None:
            root = checkpoint.root
        trained = _trained_experiment(place, checkpoint, overrides)
        listed, left_out = (
            (parse_samplers(samplers), []) if samplers else _compatible_samplers(trained, *installed_samplers())
        )
        expanded, dropped = expand_steps(listed, steps, trained.timesteps)
        changes = {"sampling.samplers": expanded, "sampling.num_images": count}
        changes |= {"evaluation.features": features} if features else {}
        changes |= {"evaluation.metrics": list(metrics)} if metrics else {}
        experiment = Experiment.parse(apply_overrides(trained.options(), changes), str(place))
        return cls(trained, checkpoint, experiment, root, (*left_out, *dropped))

    @property
    def run(self) -> Path:
        """The model's run directory, in which samples, evaluations and sweeps lie."""
        return self.checkpoint.run

    @property
    def directory(self) -> Path:
        """Where the charts lie or will lie."""
        return sweep_directory(self.run, self.checkpoint.digest, self.experiment)

    @property
    def samplers(self) -> list[Sampler]:
        """The walks, those with the fewest network calls first: a mistake shows early."""
        return sorted(self.experiment.sampling.samplers, key=lambda walk: walk.network_calls(walk.steps))

    def samples_path(self, sampler: Sampler) -> Path:
        """Return where a walk's images lie or will lie."""
        return samples_directory(self.run, self.checkpoint.digest, sampler, self.experiment)

    def samples_of(self, sampler: Sampler) -> Samples | None:
        """Return a walk's images if they are drawn."""
        return Samples.finished(self.samples_path(sampler))

    def finished_samples(self) -> list[Samples]:
        """Return the images of all walks that are drawn, in the order of the table."""
        found = map(self.samples_of, self.experiment.sampling.samplers)
        return [drawn for drawn in found if drawn is not None]

    def finished(self) -> SweepResult | None:
        """Return the finished sweep, or None: there are walks to draw, to judge or to show."""
        sweep_result, drawn = SweepResult.open(self.directory), self.finished_samples()
        if sweep_result is None or len(drawn) < len(self.experiment.sampling.samplers):
            return None
        evaluation = evaluation_directory(self.run, [samples.identity for samples in drawn], self.experiment)
        return sweep_result if sweep_result.report.directory.name == evaluation.name else None

    def write_request(self) -> None:
        """Write down what is asked for, so that a reader of the directory knows whose the images are.

        Raises:
            DataError: if the images to compare with are not prepared.
        """
        data = data_directory(self.experiment, self.root)
        if Prepared.finished(data) is None:
            raise DataError(
                f"{data}: the prepared images of {self.experiment.name} are not here, and the comparison needs "
                f"them; run `noisette prepare CONFIG --output {self.root}` with the config it was trained from"
            )
        samplers = self.experiment.sampling.samplers
        labels, samples = [one.label for one in samplers], [self.samples_path(one).name for one in samplers]
        SweepRequest(self.checkpoint.digest, labels, samples).write(self.directory)

    def write_charts(self, report: Report) -> SweepResult:
        """Draw the charts of the report of all walks.

        Raises:
            StorageError: if they cannot be written.
        """
        from noisette.comparison.chart import draw_chart

        columns = chart_columns(report)
        about = {
            "evaluation": report.directory.name,
            "checkpoint": self.checkpoint.digest,
            "step": self.checkpoint.step,
            "charts": columns,
        }
        title = f"{self.experiment.name}, {self.checkpoint.step:,} training steps"
        with committed(self.directory, KIND, about) as staging:
            for column in columns:
                draw_chart(report, column, title, staging / f"{column}.png", staging / f"{column}.svg")
        return SweepResult(self.directory, report, {column: self.directory / f"{column}.png" for column in columns})


def compare(sweep: Sweep, *, events: Events | None = None) -> SweepResult:
    """Draw, judge and show every walk of a sweep; what is finished is skipped.

    Raises:
        DataError: if the images to compare with are not prepared; else as `sample` and `evaluate`.
    """
    from noisette.evaluation import evaluate
    from noisette.sampling import sample

    done = sweep.finished()
    if done is not None:
        return done
    sweep.write_request()
    for sampler in sweep.samplers:
        sample(sweep.experiment, sweep.checkpoint, sampler, sweep.root, events=events)
    report = evaluate(sweep.experiment, sweep.finished_samples(), sweep.root, run=sweep.run, events=events)
    return sweep.write_charts(report)


def _compatible_samplers(
    trained: Experiment, samplers: Sequence[Sampler], notes: Sequence[str]
) -> tuple[list[Sampler], list[str]]:
    """Return the samplers that this model can be drawn with, and a note for each that it cannot."""
    compatible, all_notes = [], list(notes)
    for sampler in samplers:
        alone = {"sampling.samplers": [sampler.model_copy(update={"steps": 1})]}
        try:
            Experiment.parse(apply_overrides(trained.options(), alone))
            compatible.append(sampler)
        except ConfigError as error:
            all_notes.append(f"{label_without_steps(sampler)} is left out: {error.problems[0].message}")
    return compatible, all_notes


def _trained_experiment(
    place: Path, checkpoint: Checkpoint, overrides: Sequence[str] | Mapping[str, Any]
) -> Experiment:
    """Return the experiment of a YAML file, whose sampling may have changed since, or that of the checkpoint."""
    if place.is_file():
        return Experiment.load(place, overrides)
    return Experiment.parse(checkpoint.about["experiment"], str(checkpoint.directory))
