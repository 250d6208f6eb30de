"""The mirror of a run directory in MLflow, which can be recreated from the directory at any time.

`Mirror.sync` sends what the store does not have yet: lines of the journal, grids, samples, evaluations, figures. It
may fail anywhere and be called again, in this process or another. MLflow keys a metric by run, name, step, time and
value, and the times come from the disk, so a line that is sent twice is stored once. (An image whose second file
fails is stored twice, under the same key and step; MLflow shows one of them.)
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

from noisette import Experiment, Report, Samples
from noisette.checkpoint import find_finished_checkpoint, list_checkpoints
from noisette.comparison.sweep import read_sweep_requests
from noisette.config import FiguresConfig
from noisette.figures.result import FigureResult
from noisette.journal import read_journal
from noisette.layout import samples_directory
from noisette.storage import digest
from noisette_flows.tracking import names
from noisette_flows.tracking.provenance import dataset_inputs, send_provenance
from noisette_flows.tracking.reports import read_image, send_evaluation, send_sweep
from noisette_flows.tracking.runs import PARENT, TRAIN, Runs, finish_time, make_metrics
from noisette_flows.tracking.store import Store
from noisette_flows.tracking.sync_state import fingerprint, finished_directories
from noisette_flows.tracking.system_metrics import read_system_metrics

__all__ = ["FigureMirror", "Mirror"]

_LINES = 200  # of the journal in one request; MLflow accepts 1,000 metrics


class _Mirror(ABC):
    """A directory and one store, which is connected to at first use."""

    def __init__(self, config: Experiment | FiguresConfig, directory: Path, store: Store) -> None:
        self._config, self.directory, self.store = config, directory, store
        self._runs: Runs | None = None

    def sync(self, statuses: Mapping[str, str]) -> None:
        """Send what is missing, then set the given statuses of "parent" and "train".

        Raises:
            MlflowException: or whatever else the client raises when its store does not answer.
        """
        current = fingerprint(self.directory)
        if self._runs is None:
            self._runs = Runs.open(self._config.name, self.directory, self.store)
        runs = self._runs
        own_statuses = self._send(runs)
        for directory in finished_directories(self.directory / "figures"):
            _send_figure(runs, directory)
        for key, status in {**own_statuses, **statuses}.items():
            runs.set_status(key, status)
        runs.sync_state.mirrored = current
        runs.save()

    @abstractmethod
    def _send(self, runs: Runs) -> dict[str, str]:
        """Send everything but the figures; return the statuses that the directory itself shows."""

    def _send_config(self, runs: Runs) -> None:
        if runs.is_unsent(PARENT, "config"):
            runs.client.log_dict(runs.sync_state.runs[PARENT], self._config.options(), "config.yaml")
            runs.mark_sent(PARENT, "config")


class FigureMirror(_Mirror):
    """A directory of figures without an experiment, and one store.

    Args:
        config: of the figures.
        directory: of the figures.
        store: that shows them.
    """

    def _send(self, runs: Runs) -> dict[str, str]:
        labels = ", ".join(figure.label for figure in self._config.figures)
        tags = {
            "noisette.config": digest(self._config.options()),
            "noisette.directory": str(self.directory.resolve()),
        }
        runs.get_or_create(PARENT, labels, {"figures": labels, "seed": self._config.seed}, tags)
        self._send_config(runs)
        return {}


class Mirror(_Mirror):
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
        super().__init__(experiment, directory, store)
        self.experiment, self.overrides, self.provenance = experiment, overrides, provenance or {}

    def _send(self, runs: Runs) -> dict[str, str]:
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
                send_evaluation(runs, report, self._evaluated_samples(report))
        for directory in finished_directories(self.directory / "sweeps"):
            send_sweep(runs, directory)
        trained = find_finished_checkpoint(self.directory, self.experiment.training.steps)
        return {TRAIN: "FINISHED"} if trained else {}

    def _send_parent(self, runs: Runs) -> None:
        name = "" if PARENT in runs.sync_state.runs else self._unique_name(runs)
        tags = names.tags(self.experiment, self.directory)
        runs.get_or_create(PARENT, name, self._parameters(), tags, self._start_time())
        self._send_config(runs)
        send_provenance(runs, self.provenance)

    def _parameters(self) -> dict[str, Any]:
        return names.parameters(self.experiment, self.overrides)

    def _unique_name(self, runs: Runs) -> str:
        """Return a name whose first letters no other run of the MLflow experiment has, if possible."""
        name = names.run_name(self.experiment, self.overrides)
        options = self.experiment.options()
        tags = names.tags(self.experiment, self.directory)
        for others in runs.similar_experiments(name[: names.VISIBLE_CHARACTERS], tags):
            differing = names.differing_options(options, others)
            if differing:
                return names.run_name(self.experiment, self.overrides, differing[:3])
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
            metrics = [
                metric
                for entry in lines
                if entry["stage"] == "train"
                for metric in make_metrics(
                    {f"train/{key}": value for key, value in entry["metrics"].items()}, entry["time"], entry["step"]
                )
            ]
            if metrics:
                # MLflow's charts hide children, so the parent has the curves too
                for run_id in (self._training_run(runs), runs.sync_state.runs[PARENT]):
                    runs.client.log_batch(run_id, metrics=metrics)
            runs.sync_state.lines += len(lines)
            runs.save()

    def _send_system_metrics(self, runs: Runs) -> None:
        """Send the system metrics, which MLflow shows on a page of each run; the step is the number of the line."""
        entries = islice(read_system_metrics(self.directory), runs.sync_state.machine, None)
        while lines := list(islice(entries, _LINES)):
            metrics = [
                metric
                for step, (when, values) in enumerate(lines, runs.sync_state.machine)
                for metric in make_metrics({f"system/{key}": value for key, value in values.items()}, when, step)
            ]
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
        about, done = samples.about, finish_time(samples.directory)
        tags = names.plugin_tags([about["plugin"]])
        start = done - about["seconds_per_image"] * about["count"]
        parameters = {**self._parameters(), **self._network_parameters()}
        parameters["training.steps"] = parameters.pop("steps")  # `steps` is that of the sampler
        parameters |= names.sampler_parameters(about)
        parameters["model"] = runs.name_of(PARENT)
        runs.get_or_create(key, samples.label, parameters, tags, start)
        runs.log_metrics(key, {"seconds_per_image": about["seconds_per_image"]}, done)
        self._send_grid(runs, key, key, "generated", samples)
        # MLflow's page sorts groups by name: so the images come before the results
        self._send_grid(runs, PARENT, key, names.metric_key(f"examples/{samples.label}"), samples)
        runs.set_status(key, "FINISHED", done)
        runs.mark_sent(key, "samples")

    def _send_grid(self, runs: Runs, to: str, key: str, name: str, samples: Samples) -> None:
        if runs.is_unsent(to, f"grid {key}"):
            runs.client.log_image(runs.sync_state.runs[to], read_image(samples.grid), key=name, step=0)
            runs.mark_sent(to, f"grid {key}")


def _send_figure(runs: Runs, directory: Path) -> None:
    """Send a finished figure, unless it was sent."""
    figure, item = FigureResult.finished(directory), f"figures {directory.name}"
    if figure is None or not runs.is_unsent(PARENT, item):
        return
    parent = runs.sync_state.runs[PARENT]
    for path in [path for path in figure.files if path.suffix == ".png"]:
        if runs.is_unsent(PARENT, f"{item} {path.name}"):
            runs.client.log_image(parent, read_image(path), key=names.metric_key(f"figures/{path.stem}"), step=0)
            runs.mark_sent(PARENT, f"{item} {path.name}")
    for name in figure.manifest.files:
        runs.client.log_artifact(parent, str(directory / name), f"figures/{directory.name}")
    runs.mark_sent(PARENT, item)
