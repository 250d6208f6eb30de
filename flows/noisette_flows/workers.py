"""Sampling in parallel: threads, processes or clusters, and the shards of images."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from noisette import ConfigError, Events, Experiment, NoisetteError, Run, Sampler, Samples
from noisette.checkpoint import Checkpoint
from noisette.code_changes import warn_if_sampler_changed
from noisette.errors import Problem
from noisette.extras import install_command
from noisette.layout import samples_directory
from noisette.sampling import join_shards, split_into_parts
from noisette_flows.tasks import join_task, sample_task, shard_task

if TYPE_CHECKING:
    from prefect.client.schemas.objects import RunInput
    from prefect.futures import PrefectFuture
    from prefect.task_runners import TaskRunner

__all__ = ["Workers", "sample_all"]

_EXPECTED = "threads:2, processes:2, dask:2, dask:tcp://HOST:PORT, ray:2 or ray:ray://HOST:PORT"
_DEFAULT_SHARDS = 8  # shards of a sampler on a cluster whose size is not known


@dataclass(frozen=True)
class Workers:
    """Workers that generate images.

    Attributes:
        kind: "threads", "processes", "dask" or "ray".
        count: of them; 0 for a running cluster.
        address: of a running cluster; else empty.
    """

    kind: str
    count: int
    address: str = ""

    @classmethod
    def of(cls, text: str) -> Self:
        """Return the workers of a flow's parameter.

        Raises:
            ConfigError: if it cannot be understood.
        """
        kind, _, rest = text.partition(":")
        if kind in _RUNNERS and rest.isascii() and rest.isdigit() and int(rest) > 0:
            return cls(kind, int(rest))
        if kind in ("dask", "ray") and "://" in rest:
            return cls(kind, 0, rest)
        raise ConfigError("workers", [Problem("", f"expected {_EXPECTED}; got {text!r}")])

    @classmethod
    def check(cls, text: str) -> None:
        """Check workers before anything is computed; an empty text means none.

        Raises:
            ConfigError: if they cannot be understood.
            NoisetteError: if their package is not installed.
        """
        if text:
            cls.of(text).runner()

    @property
    def shards(self) -> int:
        """Maximum number of parts that a sampler's images are split into."""
        return self.count or _DEFAULT_SHARDS

    def runner(self) -> TaskRunner[Any]:
        """Return Prefect's task runner for them.

        Raises:
            NoisetteError: if its package is not installed.
        """
        try:
            return _RUNNERS[self.kind](self)
        except ModuleNotFoundError as error:
            raise NoisetteError(
                f"workers {self.kind} need {error.name}, which is not installed: {install_command(self.kind)}"
            ) from None


def _threads(workers: Workers) -> TaskRunner[Any]:
    from prefect.task_runners import ThreadPoolTaskRunner

    return ThreadPoolTaskRunner(max_workers=workers.count)


def _processes(workers: Workers) -> TaskRunner[Any]:
    from prefect.task_runners import ProcessPoolTaskRunner

    return ProcessPoolTaskRunner(max_workers=workers.count)


def _dask(workers: Workers) -> TaskRunner[Any]:
    from prefect_dask.task_runners import DaskTaskRunner

    logging.getLogger("distributed").setLevel(logging.WARNING)  # else it logs sixty lines
    if workers.address:
        return DaskTaskRunner(address=workers.address)
    local = {
        "n_workers": workers.count,
        "threads_per_worker": 1,
        "host": "127.0.0.1",
        "dashboard_address": None,
        "silence_logs": logging.ERROR,  # of its processes
    }
    return DaskTaskRunner(cluster_class="distributed.LocalCluster", cluster_kwargs=local)


def _ray(workers: Workers) -> TaskRunner[Any]:
    from prefect_ray.task_runners import RayTaskRunner

    local = {"num_cpus": workers.count, "include_dashboard": False, "_node_ip_address": "127.0.0.1"}
    runner: TaskRunner[Any] = RayTaskRunner(
        **({"address": workers.address} if workers.address else {"init_kwargs": local})
    )
    return runner


_RUNNERS: dict[str, Callable[[Workers], TaskRunner[Any]]] = {
    "threads": _threads,
    "processes": _processes,
    "dask": _dask,
    "ray": _ray,
}


def sample_all(
    experiment: Experiment,
    checkpoint: Checkpoint,
    samplers: Sequence[Sampler],
    root: Path,
    events: Events,
    workers: str = "",
    again: bool = False,
) -> list[Samples]:
    """Generate the images of some samplers; finished ones are skipped.

    Args:
        experiment, checkpoint, root: as `noisette.sample` takes them.
        samplers: in the order they run in.
        events: receive the progress.
        workers: as `Workers.of` takes it; empty for one sampler after another in this process.
        again: generate finished images again.

    Raises:
        ConfigError: if the workers cannot be understood; else as `noisette.sample`.
    """
    if not workers:
        return [
            sample_task(experiment, checkpoint, sampler, root, again=again, events=events) for sampler in samplers
        ]
    parsed = Workers.of(workers)
    places = [samples_directory(checkpoint.run, checkpoint.digest, sampler, experiment) for sampler in samplers]
    missing = [place for place in places if again or Samples.finished(place) is None]
    if not missing:
        return [join_shards(experiment, checkpoint, sampler, []) for sampler in samplers]
    for sampler, place in zip(samplers, places, strict=True):
        if place in missing:
            warn_if_sampler_changed(experiment, checkpoint, sampler, place)
    with parsed.runner() as runner:
        shards = {
            place: _submit_shards(runner, experiment, checkpoint, sampler, root, parsed.shards)
            for sampler, place in zip(samplers, places, strict=True)
            if place in missing
        }
        return [
            _join_shards(experiment, checkpoint, sampler, events, place, shards.get(place, []))
            for sampler, place in zip(samplers, places, strict=True)
        ]


Shard = tuple[range, "PrefectFuture[str]"]


def _submit_shards(
    runner: TaskRunner[Any],
    experiment: Experiment,
    checkpoint: Checkpoint,
    sampler: Sampler,
    root: Path,
    max_shards: int,
) -> list[Shard]:
    """Submit the shards of a sampler to the workers, as plain values for other machines."""
    common = {
        "experiment": experiment.options(),
        "checkpoint": str(checkpoint.directory.absolute()),
        "sampler": sampler.options(),
        "label": sampler.label,
        "root": str(root.absolute()),
    }
    from prefect.utilities.engine import collect_task_run_inputs_sync

    inputs: dict[str, set[RunInput]] = {"checkpoint": {*collect_task_run_inputs_sync(checkpoint)}}
    return [
        (part, runner.submit(shard_task, {**common, "first": part.start, "last": part.stop}, dependencies=inputs))
        for part in split_into_parts(experiment, max_shards)
    ]


def _join_shards(
    experiment: Experiment,
    checkpoint: Checkpoint,
    sampler: Sampler,
    events: Events,
    place: Path,
    shards: Sequence[Shard],
) -> Samples:
    """Wait for the shards of a sampler and join them."""
    if not shards:
        return join_shards(experiment, checkpoint, sampler, [])
    run = Run("sample", sampler.label, place, experiment.sampling.num_images, sampler.options())
    with events.stage(run):
        shard_paths, done = [], 0
        for part, future in shards:
            shard_paths.append(Path(future.result()))
            done += len(part)
            events.step(run, done, {})
        futures = [future for _, future in shards]
        return join_task(experiment, checkpoint, sampler, shard_paths, again=True, events=events, wait_for=futures)
