"""The engines as Prefect tasks: thin wrappers with readable names.

Call them directly. On a cancel a direct call can save its state; a submitted one is killed. Nothing is cached
here: the engines find finished results by their manifests.
"""

from pathlib import Path

from prefect import task
from prefect.cache_policies import NO_CACHE

from noisette import Events, Experiment, Prepared, Report, Sampler, Samples, evaluate, prepare, sample, train
from noisette.checkpoint import Checkpoint
from noisette.config import Scene, Show
from noisette.process import Shown, depict
from noisette.sweep import Sweep, Swept

__all__ = ["chart_task", "evaluate_task", "pictures_task", "prepare_task", "sample_task", "train_task"]


@task(
    name="prepare", task_run_name="prepare {experiment.dataset.name}", cache_policy=NO_CACHE, persist_result=False
)
def prepare_task(experiment: Experiment, root: Path, events: Events) -> Prepared:
    """Make the pictures uniform."""
    return prepare(experiment, root, events=events)


@task(
    name="train",
    task_run_name="train {experiment.training.steps} steps",
    cache_policy=NO_CACHE,
    persist_result=False,
)
def train_task(experiment: Experiment, root: Path, events: Events) -> Checkpoint:
    """Train, or go on training."""
    return train(experiment, root, events=events)


@task(name="sample", task_run_name="sample {sampler.label}", cache_policy=NO_CACHE, persist_result=False)
def sample_task(
    experiment: Experiment, checkpoint: Checkpoint, sampler: Sampler, root: Path, events: Events
) -> Samples:
    """Draw the pictures of one sampler."""
    return sample(experiment, checkpoint, sampler, root, events=events)


@task(name="pictures", task_run_name="pictures {scene.label}", cache_policy=NO_CACHE, persist_result=False)
def pictures_task(
    config: Experiment | Show, scene: Scene, root: Path, events: Events, checkpoint: Checkpoint | None = None
) -> Shown:
    """Make pictures of the process."""
    return depict(config, scene, root, checkpoint=checkpoint, events=events)


@task(name="evaluate", task_run_name="evaluate {experiment.name}", cache_policy=NO_CACHE, persist_result=False)
def evaluate_task(
    experiment: Experiment, samples: list[Samples], root: Path, events: Events, run: Path | None = None
) -> Report:
    """Compare the samplers' pictures with real ones."""
    return evaluate(experiment, samples, root, run=run, events=events)


@task(name="chart", task_run_name="chart {sweep.experiment.name}", cache_policy=NO_CACHE, persist_result=False)
def chart_task(sweep: Sweep, report: Report) -> Swept:
    """Draw quality against cost."""
    return sweep.show(report)
