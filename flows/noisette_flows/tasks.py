"""The engines as Prefect tasks: thin wrappers with readable names.

Call them directly. On a cancel a direct call can save its state; a submitted one is killed, which only shards of
images can bear. Nothing is cached here: the engines find finished results by their manifests.

What may pass by itself is tried again: a download, a full memory, a busy disk. What a person must mend is not.
Training is never tried again by itself: a run that is started again resumes.
"""

import time
from pathlib import Path
from typing import Any, cast

from prefect import Task, get_run_logger, task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State, TaskRun

from noisette import Events, Experiment, Prepared, Report, Sampler, Samples, evaluate, prepare, sample, train
from noisette.checkpoint import Checkpoint
from noisette.comparison import Sweep, SweepResult
from noisette.config import Figure, FiguresConfig
from noisette.config.reference import make_plugin
from noisette.errors import DownloadError
from noisette.figures import FigureResult, make_figure
from noisette.sampling import join_shards, sample_shard
from noisette_flows.gpus import GpuLock

__all__ = [
    "chart_task",
    "evaluate_task",
    "figures_task",
    "join_task",
    "prepare_task",
    "sample_task",
    "shard_task",
    "train_task",
    "wait_task",
]

_PAUSES = [10.0, 60.0]  # seconds before it is tried again
_POLL_INTERVAL = 1.0  # seconds between two looks whether a GPU is free
_DAY = 24 * 60 * 60.0


def is_transient_failure(task: Task[..., Any], task_run: TaskRun, state: State[Any]) -> bool:
    """Return whether an error, or what it was made of, may be gone the next time."""
    error = state.result(raise_on_failure=False)
    while isinstance(error, BaseException):
        if _is_transient(error):
            return True
        error = error.__cause__
    return False


def _is_transient(error: BaseException) -> bool:
    if isinstance(error, FileNotFoundError | NotADirectoryError | IsADirectoryError | PermissionError):
        return False  # a person has to see to it
    return isinstance(error, OSError | MemoryError | DownloadError) or type(error).__name__ == "OutOfMemoryError"


@task(
    name="prepare",
    task_run_name="prepare {experiment.dataset.name}",
    cache_policy=NO_CACHE,
    persist_result=False,
    retries=2,
    retry_delay_seconds=_PAUSES,
    retry_jitter_factor=0.5,
    retry_condition_fn=is_transient_failure,
    timeout_seconds=_DAY,  # a download that hangs would hold up all behind it
)
def prepare_task(experiment: Experiment, root: Path, events: Events, again: bool = False) -> Prepared:
    """Make the images uniform."""
    return prepare(experiment, root, again=again, events=events)


@task(
    name="train",
    task_run_name="train {experiment.training.steps} steps",
    cache_policy=NO_CACHE,
    persist_result=False,
)
def train_task(experiment: Experiment, root: Path, events: Events) -> Checkpoint:
    """Train, or go on training."""
    return train(experiment, root, events=events)


@task(
    name="sample",
    task_run_name="sample {sampler.label}",
    cache_policy=NO_CACHE,
    persist_result=False,
    retries=2,
    retry_delay_seconds=_PAUSES,
    retry_condition_fn=is_transient_failure,
)
def sample_task(
    experiment: Experiment,
    checkpoint: Checkpoint,
    sampler: Sampler,
    root: Path,
    events: Events,
    again: bool = False,
) -> Samples:
    """Draw the images of one sampler."""
    return sample(experiment, checkpoint, sampler, root, again=again, events=events)


@task(
    name="shard",
    task_run_name="draw {label}, images {first} to {last}",
    cache_policy=NO_CACHE,
    persist_result=False,
    retries=2,
    retry_delay_seconds=_PAUSES,
    retry_condition_fn=is_transient_failure,
)
def shard_task(
    experiment: dict[str, Any],
    checkpoint: str,
    sampler: dict[str, Any],
    label: str,
    root: str,
    first: int,
    last: int,
) -> str:
    """Draw images `first` to `last` (left out) of one sampler, wherever this runs; all values are plain."""
    parsed, drawn_by = Experiment.parse(experiment), cast(Sampler, make_plugin("sampler", sampler))
    return str(sample_shard(parsed, Checkpoint.open(Path(checkpoint)), drawn_by, range(first, last), root))


@task(name="join", task_run_name="join {sampler.label}", cache_policy=NO_CACHE, persist_result=False)
def join_task(
    experiment: Experiment, checkpoint: Checkpoint, sampler: Sampler, shards: list[Path], events: Events
) -> Samples:
    """Put the shards of one sampler together."""
    return join_shards(experiment, checkpoint, sampler, shards, again=True, events=events)


@task(name="figures", task_run_name="figures {figure.label}", cache_policy=NO_CACHE, persist_result=False)
def figures_task(
    config: Experiment | FiguresConfig,
    figure: Figure,
    root: Path,
    events: Events,
    checkpoint: Checkpoint | None = None,
    again: bool = False,
) -> FigureResult:
    """Make one figure of a config."""
    return make_figure(config, figure, root, checkpoint=checkpoint, again=again, events=events)


@task(
    name="evaluate",
    task_run_name="evaluate {experiment.name}",
    cache_policy=NO_CACHE,
    persist_result=False,
    retries=2,
    retry_delay_seconds=_PAUSES,
    retry_condition_fn=is_transient_failure,
)
def evaluate_task(
    experiment: Experiment,
    samples: list[Samples],
    root: Path,
    events: Events,
    run: Path | None = None,
    again: bool = False,
) -> Report:
    """Compare the samplers' images with real ones."""
    return evaluate(experiment, samples, root, run=run, again=again, events=events)


@task(name="chart", task_run_name="chart {sweep.experiment.name}", cache_policy=NO_CACHE, persist_result=False)
def chart_task(sweep: Sweep, report: Report) -> SweepResult:
    """Draw quality against cost."""
    return sweep.write_charts(report)


@task(name="wait", task_run_name="wait for {holder}", cache_policy=NO_CACHE, persist_result=False)
def wait_task(lock: GpuLock, holder: str) -> None:
    """Wait until the GPUs of this machine that a flow run wants are free."""
    get_run_logger().info("waits for a GPU of this machine, held by %s", holder)
    while not lock.take():
        time.sleep(_POLL_INTERVAL)
