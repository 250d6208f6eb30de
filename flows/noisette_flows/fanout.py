"""Drawing with several samplers, each picture by itself: in turn and here, or in shards side by side."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from noisette import Events, Experiment, Run, Sampler, Samples
from noisette.checkpoint import Checkpoint
from noisette.edited import warn_of_edited_sampler
from noisette.layout import samples_directory
from noisette.sampling import join, parts_of
from noisette_flows.runners import Workers
from noisette_flows.tasks import join_task, sample_task, shard_task

if TYPE_CHECKING:
    from prefect.client.schemas.objects import RunInput
    from prefect.futures import PrefectFuture
    from prefect.task_runners import TaskRunner

__all__ = ["draw_all"]


def draw_all(
    experiment: Experiment,
    checkpoint: Checkpoint,
    samplers: Sequence[Sampler],
    root: Path,
    events: Events,
    workers: str = "",
    again: bool = False,
) -> list[Samples]:
    """Draw the pictures of some samplers; what is drawn is not drawn again.

    Args:
        experiment, checkpoint, root: as `noisette.sample` takes them.
        samplers: in whose order they are begun.
        events: who is told.
        workers: as `Workers.of` takes it; empty to draw here, one sampler after another.
        again: draw what is drawn anew.

    Raises:
        ConfigError: if the workers cannot be understood; else as `noisette.sample`.
    """
    if not workers:
        return [sample_task(experiment, checkpoint, sampler, root, events, again) for sampler in samplers]
    asked = Workers.of(workers)
    places = [samples_directory(checkpoint.run, checkpoint.digest, one, experiment) for one in samplers]
    wanted = [place for place in places if again or Samples.finished(place) is None]
    if not wanted:
        return [join(experiment, checkpoint, sampler, []) for sampler in samplers]
    for sampler, place in zip(samplers, places, strict=True):
        if place in wanted:
            warn_of_edited_sampler(experiment, checkpoint, sampler, place)
    with asked.runner() as runner:
        shards = {
            place: _begun(runner, experiment, checkpoint, sampler, root, asked.shards)
            for sampler, place in zip(samplers, places, strict=True)
            if place in wanted
        }
        return [
            _joined(experiment, checkpoint, sampler, events, place, shards.get(place, []))
            for sampler, place in zip(samplers, places, strict=True)
        ]


Shard = tuple[range, "PrefectFuture[str]"]


def _begun(
    runner: TaskRunner[Any],
    experiment: Experiment,
    checkpoint: Checkpoint,
    sampler: Sampler,
    root: Path,
    most: int,
) -> list[Shard]:
    """Hand the shards of a sampler to the workers, as plain values: another machine knows no more."""
    common = {
        "experiment": experiment.options(),
        "checkpoint": str(checkpoint.directory.absolute()),
        "sampler": sampler.options(),
        "label": sampler.label,
        "root": str(root.absolute()),
    }
    from prefect.utilities.engine import collect_task_run_inputs_sync

    behind: dict[str, set[RunInput]] = {"checkpoint": {*collect_task_run_inputs_sync(checkpoint)}}
    return [
        (part, runner.submit(shard_task, {**common, "first": part.start, "last": part.stop}, dependencies=behind))
        for part in parts_of(experiment, most)
    ]


def _joined(
    experiment: Experiment,
    checkpoint: Checkpoint,
    sampler: Sampler,
    events: Events,
    place: Path,
    shards: Sequence[Shard],
) -> Samples:
    """Wait for the shards of a sampler, and put them together."""
    if not shards:
        return join(experiment, checkpoint, sampler, [])
    run = Run("sample", sampler.label, place, experiment.sampling.count, sampler.options())
    events.run_start(run)
    try:
        drawn, done = [], 0
        for part, future in shards:
            drawn.append(Path(future.result()))
            done += len(part)
            events.step(run, done, {})
        futures = [future for _, future in shards]
        return join_task(experiment, checkpoint, sampler, drawn, events, wait_for=futures)
    except BaseException as error:
        events.run_end(run, "failed" if isinstance(error, Exception) else "stopped")
        raise
