"""The mirror of a run directory in MLflow, which can be recreated from the directory at any time.

`Mirror.sync` sends what the store does not have yet: lines of the journal, grids, samples, evaluations. It may
fail anywhere and be called again, in this process or another. MLflow keys a metric by run, name, step, time and
value, and the times come from the disk, so a line that is sent twice is stored once. (An image whose second file
fails is stored twice, under the same key and step; MLflow shows one of them.)
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from noisette import Experiment, Report, Samples
from noisette.checkpoint import find_finished_checkpoint, list_checkpoints
from noisette.comparison.sweep import read_sweep_requests
from noisette.evaluation import Row
from noisette.evaluation.report import chart_columns
from noisette.journal import JournalEntry, read_journal
from noisette.layout import samples_directory
from noisette.storage import MANIFEST, digest
from noisette_flows.display.table import markdown
from noisette_flows.tracking import names
from noisette_flows.tracking.best import send_best
from noisette_flows.tracking.connection import MlflowRunDir
from noisette_flows.tracking.figures import send_figures
from noisette_flows.tracking.provenance import dataset_inputs, send_provenance
from noisette_flows.tracking.reports import read_image, send_protocol, send_sweep, send_table
from noisette_flows.tracking.runs import PARENT, TRAIN, Runs
from noisette_flows.tracking.store import Store
from noisette_flows.tracking.sync_state import fingerprint, finished_directories
from noisette_flows.tracking.system_metrics import read_system_metrics

if TYPE_CHECKING:
    from mlflow.entities import Metric

__all__ = ["Mirror"]

_LINES = 200  # of the journal in one request; MLflow accepts 1,000 metrics


class Mirror(MlflowRunDir):
    """One run directory and one store.

    Args:
        experiment: of the run.
        directory: its run directory.
        store: that shows it.
        overrides: changes of its config, with which its name starts.
        provenance: tags of the command that runs it.
    """

    def __init__(
        self,
        experiment: Experiment,
        directory: Path,
        store: Store,
        overrides: Mapping[str, Any],
        provenance: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(experiment.name, directory, store)
        self.experiment, self.overrides, self.provenance = experiment, overrides, provenance or {}

    def sync(self, statuses: Mapping[str, str]) -> None:
        """Send what is missing, then set the given statuses of "parent" and "train".

        Raises:
            MlflowException: or whatever else the client raises when its store does not answer.
        """
        current, runs = fingerprint(self.directory), self.connect()
        self._send_parent(runs)
        self._send_journal(runs)
        self._send_system_metrics(runs)
        self._send_machine_choices(runs)
        self._send_grids(runs)
        sweeps, own = list(read_sweep_requests(self.directory)), self._own_samples()
        of_sweeps = {name for sweep in sweeps for name in sweep.samples} - own
        for samples in self._finished_samples():
            if samples.directory.name not in of_sweeps:
                self._send_samples(runs, samples)
        for report in map(Report.open, finished_directories(self.directory / "evaluations")):
            if not any(sweep.matches(report) and not own.issuperset(sweep.samples) for sweep in sweeps):
                self._send_evaluation(runs, report)
        for directory in finished_directories(self.directory / "sweeps"):
            send_sweep(runs, directory)
        for directory in finished_directories(self.directory / "figures"):
            send_figures(runs, directory)
        if find_finished_checkpoint(self.directory, self.experiment.training.steps):
            statuses = {TRAIN: "FINISHED", **statuses}
        for key, status in statuses.items():
            runs.set_status(key, status)
        runs.sync_state.mirrored = current
        runs.save()

    def _send_parent(self, runs: Runs) -> None:
        name = "" if PARENT in runs.sync_state.runs else self._unique_name(runs)
        tags = names.tags(self.experiment, self.directory)
        parent = runs.get_or_create(PARENT, name, self._parameters(), tags, self._start_time())
        if runs.is_unsent(PARENT, "config"):
            runs.client.log_dict(parent, self.experiment.options(), "config.yaml")
            runs.mark_sent(PARENT, "config")
        send_provenance(runs, self.provenance)

    def _parameters(self) -> dict[str, Any]:
        return names.parameters(self.experiment, self.overrides)

    def _unique_name(self, runs: Runs) -> str:
        """Return a name whose first letters no other run of the MLflow experiment has, if possible."""
        name = names.run_name(self.experiment, self.overrides)
        options = self.experiment.options()
        for others in runs.similar_experiments(
            name[: names.VISIBLE_CHARACTERS], names.tags(self.experiment, self.directory)
        ):
            differing_options = names.differing_options(options, others)
            if differing_options:
                return names.run_name(self.experiment, self.overrides, differing_options[:3])
        return name

    def _training_run(self, runs: Runs) -> str:
        train = runs.get_or_create(TRAIN, "training", self._parameters(), {}, self._start_time())
        if runs.is_unsent(TRAIN, "data"):
            inputs = dataset_inputs(self.experiment, self.directory)
            if inputs:
                for run_id in (train, runs.sync_state.runs[PARENT]):
                    runs.client.log_inputs(run_id, inputs)
                runs.mark_sent(TRAIN, "data")
        return train

    def _start_time(self) -> float | None:
        """Return the time of the first line of the journal, or None."""
        return next((entry["time"] for entry in read_journal(self.directory)), None)

    def _send_journal(self, runs: Runs) -> None:
        entries = islice(read_journal(self.directory), runs.sync_state.lines, None)
        while lines := list(islice(entries, _LINES)):
            metrics = [metric for entry in lines if entry["stage"] == "train" for metric in _train_metrics(entry)]
            if metrics:
                # MLflow's charts hide children, so the parent has the curves too
                for run_id in (self._training_run(runs), runs.sync_state.runs[PARENT]):
                    runs.client.log_batch(run_id, metrics=metrics)
            runs.sync_state.lines += len(lines)
            runs.save()

    def _send_system_metrics(self, runs: Runs) -> None:
        """Send the system metrics, which MLflow shows on a page of each run."""
        entries = islice(read_system_metrics(self.directory), runs.sync_state.machine, None)
        while lines := list(islice(entries, _LINES)):
            metrics = _machine_metrics(lines, runs.sync_state.machine)
            if metrics:
                runs.client.log_batch(self._training_run(runs), metrics=metrics)
            runs.sync_state.machine += len(lines)
            runs.save()

    def _send_machine_choices(self, runs: Runs) -> None:
        """Send what training chose for its machine, as tags: a run may resume on another machine."""
        newest = next(list_checkpoints(self.directory), None)
        if newest is None:
            return
        for key in (PARENT, TRAIN):
            if key in runs.sync_state.runs and runs.is_unsent(key, "network"):
                runs.add_parameters(key, self._network_parameters())
                runs.mark_sent(key, "network")
        chosen = names.machine_tags(newest.about)
        item = f"machine {digest(chosen)}"
        if chosen and runs.is_unsent(TRAIN, item):
            for name, value in chosen.items():
                runs.client.set_tag(self._training_run(runs), name, value)
            runs.mark_sent(TRAIN, item)

    def _network_parameters(self) -> dict[str, Any]:
        """Return the parameters of the network, if there is a checkpoint."""
        newest = next(list_checkpoints(self.directory), None)
        return {} if newest is None else names.network_parameters(newest.about)

    def _send_grids(self, runs: Runs) -> None:
        for path in sorted((self.directory / "grids").glob("step-*.png")):
            if runs.is_unsent(TRAIN, path.name):
                step = int(path.stem.removeprefix("step-"))
                runs.client.log_image(self._training_run(runs), read_image(path), key="train/grid", step=step)
                runs.mark_sent(TRAIN, path.name)

    def _finished_samples(self) -> Iterator[Samples]:
        for directory in finished_directories(self.directory / "samples"):
            samples = Samples.finished(directory)
            if samples is not None:
                yield samples

    def _own_samples(self) -> set[str]:
        """Return the names of the sample directories of the experiment's samplers."""
        checkpoint = find_finished_checkpoint(self.directory, self.experiment.training.steps)
        if checkpoint is None:
            return set()
        return {
            samples_directory(self.directory, checkpoint.digest, sampler, self.experiment).name
            for sampler in self.experiment.sampling.samplers
        }

    def _evaluated_samples(self, report: Report) -> list[Samples]:
        """Return the samples of a report; other samples may have the same label."""
        about = report.details["samplers"]
        return [samples for samples in self._finished_samples() if about.get(samples.label) == samples.about]

    def _send_samples(self, runs: Runs, samples: Samples) -> None:
        key = samples.directory.name
        if not runs.is_unsent(key, "samples"):
            return
        about, done = samples.about, (samples.directory / MANIFEST).stat().st_mtime
        tags = names.plugin_tags([about["plugin"]])
        start = done - about["seconds_per_image"] * about["count"]
        parameters = {**self._parameters(), **self._network_parameters()}
        parameters["training.steps"] = parameters.pop("steps")  # `steps` is that of the sampler
        parameters |= names.sampler_parameters(about)
        parameters["model"] = runs.name_of(PARENT)
        child = runs.get_or_create(key, samples.label, parameters, tags, start)
        speed = _metrics({"seconds_per_image": about["seconds_per_image"]}, samples.directory)
        runs.client.log_batch(child, metrics=speed)
        self._send_grid(runs, key, key, "drawn", samples)
        # MLflow's page sorts groups by name: so the images come before the results
        self._send_grid(runs, PARENT, key, names.metric_key(f"examples/{samples.label}"), samples)
        runs.set_status(key, "FINISHED", done)
        runs.mark_sent(key, "samples")

    def _send_grid(self, runs: Runs, to: str, key: str, name: str, samples: Samples) -> None:
        if runs.is_unsent(to, f"grid {key}"):
            runs.client.log_image(runs.sync_state.runs[to], read_image(samples.grid), key=name, step=0)
            runs.mark_sent(to, f"grid {key}")

    def _send_evaluation(self, runs: Runs, report: Report) -> None:
        name = report.directory.name
        if not runs.is_unsent(PARENT, f"evaluation {name}"):
            return
        parent = runs.sync_state.runs[PARENT]
        self._send_results(runs, report)
        self._send_image_table(runs, report)
        runs.client.log_artifact(parent, str(report.directory / "report.json"), "eval")
        runs.client.log_text(parent, markdown(report), "eval/table.md")
        runs.client.set_tag(parent, "mlflow.note.content", markdown(report))
        send_protocol(runs, PARENT, report)
        send_table(runs, PARENT, report, "eval")
        for tag, text in names.plugin_tags(report.details["plugins"]).items():  # of the last evaluation
            runs.client.set_tag(parent, tag, text)
        runs.mark_sent(PARENT, f"evaluation {name}")

    def _send_results(self, runs: Runs, report: Report) -> None:
        features = str(report.protocol["features"])
        children = {samples.label: samples.directory.name for samples in self._evaluated_samples(report)}
        values: dict[str, float] = {}
        for row in report.rows:
            for column in chart_columns(report) & row.results.keys():
                values[names.result_key(column, features, row.label)] = row.results[column].value
            child = runs.sync_state.runs.get(children.get(row.label, "")) if row.kind == "sampler" else None
            if child is not None:
                runs.client.log_batch(child, metrics=_metrics(_sampler_results(row, features), report.directory))
                send_protocol(runs, children[row.label], report)
        values |= {f"model/{name}": found.value for name, found in report.model.items()}
        runs.client.log_batch(runs.sync_state.runs[PARENT], metrics=_metrics(values, report.directory))
        send_best(runs, report)
        self._send_curves(runs, report)

    def _send_curves(self, runs: Runs, report: Report) -> None:
        """Send the model's curves, as charts and as an image, and the figures of nearest images."""
        parent = runs.sync_state.runs[PARENT]
        for name, curve in report.curves.items():
            points = [(int(x), found.value) for x, found in curve]
            runs.client.log_batch(parent, metrics=_points(f"model/{name}", points, report.directory))
        if report.curves_figure is not None:
            runs.client.log_artifact(parent, str(report.curves_figure), "eval")
        for path in report.neighbour_figures.values():
            runs.client.log_artifact(parent, str(path), "eval/nearest")

    def _send_image_table(self, runs: Runs, report: Report) -> None:
        """Add the images of each sampler to the table of samplers by runs."""
        import mlflow

        for samples in self._evaluated_samples(report):
            item = f"table {samples.directory.name}"
            if runs.is_unsent(PARENT, item):
                row = {"sampler": [samples.label], "samples": [mlflow.Image(read_image(samples.grid))]}
                runs.client.log_table(runs.sync_state.runs[PARENT], row, "eval/samplers.json")
                runs.mark_sent(PARENT, item)


def _sampler_results(row: Row, features: str) -> dict[str, float]:
    """Return the results of a sampler by the keys of its run, with their standard errors."""
    own: dict[str, float] = {}
    for column, (value, stderr) in row.results.items():
        key = names.result_key(column, features)
        own[key] = value
        if stderr is not None:
            own[f"{key} stderr"] = stderr
    return own


def _train_metrics(entry: JournalEntry) -> list[Metric]:
    from mlflow.entities import Metric

    when = int(entry["time"] * 1000)
    metrics = entry["metrics"].items()
    return [Metric(names.metric_key(f"train/{key}"), value, when, entry["step"]) for key, value in metrics]


def _machine_metrics(lines: list[tuple[float, dict[str, float]]], first: int) -> list[Metric]:
    """Return system metrics under MLflow's names; the step is the number of the measurement."""
    from mlflow.entities import Metric

    return [
        Metric(names.metric_key(f"system/{key}"), value, int(when * 1000), step)
        for step, (when, metrics) in enumerate(lines, first)
        for key, value in metrics.items()
    ]


def _metrics(values: Mapping[str, float], directory: Path) -> list[Metric]:
    """Return metrics without steps, with the time when their directory was finished."""
    from mlflow.entities import Metric

    when = int((directory / MANIFEST).stat().st_mtime * 1000)
    return [Metric(names.metric_key(key), value, when, 0) for key, value in values.items()]


def _points(key: str, points: Iterable[tuple[int, float]], directory: Path) -> list[Metric]:
    """Return one metric at several steps."""
    from mlflow.entities import Metric

    when = int((directory / MANIFEST).stat().st_mtime * 1000)
    return [Metric(names.metric_key(key), value, when, step) for step, value in points]
