"""The engines as Prefect tasks.

Call them directly: a direct call that is cancelled saves its state, a submitted one is killed, which is harmless
for shards of images only. Nothing is cached by Prefect: the engines find finished results by their manifests.

Errors that may pass are retried: a download, a full memory, a busy disk. Training is not retried: its flow run
resumes when it is started again.
"""

import time
from pathlib import Path
from typing import Any, cast

from prefect import Task, get_run_logger, task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State, TaskRun

from noisette import Experiment, Sampler, evaluate, prepare, sample, train
from noisette.checkpoint import Checkpoint
from noisette.comparison import Sweep
from noisette.config.reference import make_plugin
from noisette.errors import DownloadError
from noisette.figures import make_figure
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

_PAUSES = [10.0, 60.0]  # seconds before each retry
_POLL_INTERVAL = 1.0  # seconds between two tries to take the GPUs
_DAY = 24 * 60 * 60.0


def is_transient_failure(task: Task[..., Any], task_run: TaskRun, state: State[Any]) -> bool:
    """Return whether an error or one of its causes may not occur the next time."""
    error = state.result(raise_on_failure=False)
    while isinstance(error, BaseException):
        if _is_transient(error):
            return True
        error = error.__cause__
    return False


def _is_transient(error: BaseException) -> bool:
    if isinstance(error, FileNotFoundError | NotADirectoryError | IsADirectoryError | PermissionError):
        return False  # a person has to act
    return isinstance(error, OSError | MemoryError | DownloadError) or type(error).__name__ == "OutOfMemoryError"


_OPTIONS: dict[str, Any] = {"cache_policy": NO_CACHE, "persist_result": False}
_RETRIES: dict[str, Any] = {
    **_OPTIONS,
    "retries": 2,
    "retry_delay_seconds": _PAUSES,
    "retry_condition_fn": is_transient_failure,
}

prepare_task = Task(
    prepare,
    name="prepare",
    task_run_name="prepare {experiment.dataset.name}",
    retry_jitter_factor=0.5,
    timeout_seconds=_DAY,  # a download that hangs would hold up all that follows
    **_RETRIES,
)
train_task = Task(train, name="train", task_run_name="train {experiment.training.steps} steps", **_OPTIONS)
sample_task = Task(sample, name="sample", task_run_name="sample {sampler.label}", **_RETRIES)
join_task = Task(join_shards, name="join", task_run_name="join {sampler.label}", **_OPTIONS)
figures_task = Task(make_figure, name="figures", task_run_name="figures {figure.label}", **_OPTIONS)
evaluate_task = Task(evaluate, name="evaluate", task_run_name="evaluate {experiment.name}", **_RETRIES)
chart_task = Task(Sweep.write_charts, name="chart", task_run_name="chart {self.experiment.name}", **_OPTIONS)


@task(name="shard", task_run_name="sample {label}, images {first} to {last}", **_RETRIES)
def shard_task(
    experiment: dict[str, Any],
    checkpoint: str,
    sampler: dict[str, Any],
    label: str,
    root: str,
    first: int,
    last: int,
) -> str:
    """Generate images `first` to `last` (exclusive) of one sampler; all values are plain, for other machines."""
    samples = sample_shard(
        Experiment.parse(experiment),
        Checkpoint.open(Path(checkpoint)),
        cast(Sampler, make_plugin("sampler", sampler)),
        range(first, last),
        root,
    )
    return str(samples)


@task(name="wait", task_run_name="wait for {holder}", **_OPTIONS)
def wait_task(lock: GpuLock, holder: str) -> None:
    """Wait until the GPUs that a flow run needs are free."""
    get_run_logger().info("waiting for a GPU of this machine, held by %s", holder)
    while not lock.take():
        time.sleep(_POLL_INTERVAL)
