"""A sweep: one trained model sampled by many samplers with several numbers of steps, and its charts."""

from __future__ import annotations

import json
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
from noisette.storage import atomic_write, committed, is_complete, read_manifest

if TYPE_CHECKING:
    from noisette.events import Events

__all__ = ["Sweep", "SweepRequest", "SweepResult", "compare", "read_sweep_requests"]


@dataclass(frozen=True)
class SweepRequest:
    """The samples that a sweep needs.

    Attributes:
        checkpoint: digest of the checkpoint.
        labels: labels of the samplers, in the order of the table.
        samples: names of the directories of their samples.
    """

    checkpoint: str
    labels: list[str]
    samples: list[str]

    def write(self, directory: Path) -> None:
        """Write it next to the directory of the sweep, atomically."""
        with atomic_write(directory.with_name(f"{directory.name}.json")) as path:
            path.write_text(json.dumps(asdict(self), indent=1) + "\n", encoding="utf-8")

    def matches(self, report: Report) -> bool:
        """Return whether a report is that of the sweep."""
        same = set(report.details["samplers"]) == set(self.labels)
        return same and report.protocol["checkpoint"] == self.checkpoint


def read_sweep_requests(run: Path) -> Iterator[SweepRequest]:
    """Yield the requests of a run directory; files that cannot be read are skipped."""
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
        directory: holds a PNG and an SVG file of each chart.
        report: the results of every sampler, with the floor and noise.
        charts: the PNG file of each chart, by column of the report.
    """

    directory: Path
    report: Report
    charts: dict[str, Path]

    @classmethod
    def open(cls, directory: Path) -> SweepResult | None:
        """Return the sweep of a directory if it is finished, by file sizes only; None otherwise."""
        if not is_complete(directory, KIND):
            return None
        about = read_manifest(directory, KIND).about
        report = Report.finished(directory.parent.parent / "evaluations" / about["evaluation"])
        if report is None:
            return None
        return cls(directory, report, {column: directory / f"{column}.png" for column in about["charts"]})


@dataclass(frozen=True)
class Sweep:
    """A trained model and the samplers that are compared on it.

    Attributes:
        trained: the experiment of the model.
        checkpoint: the model.
        experiment: the same experiment with the compared samplers, grouped by name.
        root: results directory.
        notes: remarks for the reader, such as numbers of steps that were left out.
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
        num_images: int = 500,
        features: Any = None,
        metrics: Sequence[Any] = (),
        overrides: Sequence[str] | Mapping[str, Any] = (),
        output: Path | str | None = None,
    ) -> Sweep:
        """Return the sweep over a trained model.

        Args:
            place: a checkpoint's directory, a run's directory, or the YAML file of a trained experiment.
            samplers: the samplers, as for `parse_samplers`; every installed one if empty.
            steps: numbers of sampling steps; those above the trained timesteps are left out.
            num_images: number of images of each sampler.
            features, metrics: as in a config; None and empty take the experiment's.
            overrides: changes of the experiment in a YAML file.
            output: results directory; None takes that of the run, or "runs" for a YAML file.

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
        changes = {"sampling.samplers": expanded, "sampling.num_images": num_images}
        changes |= {"evaluation.features": features} if features else {}
        changes |= {"evaluation.metrics": list(metrics)} if metrics else {}
        experiment = Experiment.parse(apply_overrides(trained.options(), changes), str(place))
        return cls(trained, checkpoint, experiment, root, (*left_out, *dropped))

    @property
    def run(self) -> Path:
        """The run directory of the model, with its samples, evaluations and sweeps."""
        return self.checkpoint.run

    @property
    def directory(self) -> Path:
        """The directory of the charts."""
        return sweep_directory(self.run, self.checkpoint.digest, self.experiment)

    @property
    def samplers(self) -> list[Sampler]:
        """The samplers, those with the fewest network calls first, so that errors show early."""
        return sorted(self.experiment.sampling.samplers, key=lambda sampler: sampler.network_calls(sampler.steps))

    def samples_path(self, sampler: Sampler) -> Path:
        """Return the directory of a sampler's images."""
        return samples_directory(self.run, self.checkpoint.digest, sampler, self.experiment)

    def samples_of(self, sampler: Sampler) -> Samples | None:
        """Return a sampler's images if they are finished."""
        return Samples.finished(self.samples_path(sampler))

    def finished_samples(self) -> list[Samples]:
        """Return the finished images of all samplers, in the order of the table."""
        samples = map(self.samples_of, self.experiment.sampling.samplers)
        return [finished for finished in samples if finished is not None]

    def finished(self) -> SweepResult | None:
        """Return the finished sweep; None if images, results or charts are missing."""
        result, finished = SweepResult.open(self.directory), self.finished_samples()
        if result is None or len(finished) < len(self.experiment.sampling.samplers):
            return None
        evaluation = evaluation_directory(self.run, [samples.identity for samples in finished], self.experiment)
        return result if result.report.directory.name == evaluation.name else None

    def write_request(self) -> None:
        """Write the request file, by which readers of the run assign samples to sweeps.

        Raises:
            DataError: if the reference images are not prepared.
        """
        data = data_directory(self.experiment, self.root)
        if Prepared.finished(data) is None:
            raise DataError(
                f"{data}: expected the prepared images of {self.experiment.name}; got none; run "
                f"`noisette prepare CONFIG --output {self.root}` with the config of the training"
            )
        samplers = self.experiment.sampling.samplers
        labels = [sampler.label for sampler in samplers]
        samples = [self.samples_path(sampler).name for sampler in samplers]
        SweepRequest(self.checkpoint.digest, labels, samples).write(self.directory)

    def write_charts(self, report: Report) -> SweepResult:
        """Draw the charts of the report of all samplers.

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
    """Sample with every sampler of a sweep, evaluate them and draw the charts; finished parts are skipped.

    Raises:
        DataError: if the reference images are not prepared; otherwise as `sample` and `evaluate`.
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
    """Return the samplers that this model supports, and a note for each other."""
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
    """Return the experiment of a YAML file, whose sampling options may be new, or that of the checkpoint."""
    if place.is_file():
        return Experiment.load(place, overrides)
    return Experiment.parse(checkpoint.about["experiment"], str(checkpoint.directory))
