"""The stages of an experiment, and which are finished, from manifests alone, without torch.

The directory of a stage depends on earlier results (that of samples on the checkpoint), so it is known only when
the earlier stage is finished.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from noisette.checkpoint import Checkpoint, find_finished_checkpoint
from noisette.config import Experiment, FiguresConfig
from noisette.errors import ConfigError, Problem
from noisette.layout import (
    data_directory,
    evaluation_directory,
    figures_directory,
    run_directory,
    samples_directory,
    training_directory,
)
from noisette.plugins.registry import suggest
from noisette.sampling.samples import Samples
from noisette.storage import is_complete

__all__ = ["Stage", "plan_stages", "stages_to_redo"]

_DEPENDENT = {
    "prepare": ("train", "sample", "figures", "evaluate"),
    "train": ("sample", "figures", "evaluate"),
    "sample": ("evaluate",),
    "figures": (),
    "evaluate": (),
}
"""The stages that depend on a stage."""


@dataclass(frozen=True)
class Stage:
    """One stage of an experiment.

    Attributes:
        name: "prepare", "train", "sample <sampler's label>", "figures <label>" or "evaluate".
        directory: the directory of its results; None while it depends on an unfinished stage.
        finished: whether its results are complete; only sizes are checked.
    """

    name: str
    directory: Path | None
    finished: bool

    @property
    def kind(self) -> str:
        """The first word of its name, such as "sample"."""
        return self.name.split()[0]


def stages_to_redo(stage: str) -> frozenset[str]:
    """Return a stage and all stages that depend on it; none for "".

    Raises:
        ConfigError: if the stage does not exist.
    """
    if stage and stage not in _DEPENDENT:
        message = f"expected one of {', '.join(_DEPENDENT)}; got {stage!r}"
        raise ConfigError("--again", [Problem("", message, suggest(stage, list(_DEPENDENT)))])
    return frozenset({stage, *_DEPENDENT[stage]} if stage else ())


def plan_stages(config: Experiment | FiguresConfig, root: Path) -> list[Stage]:
    """Return the stages of a config in running order."""
    if not isinstance(config, Experiment):
        return _figures(config, run_directory(config, root), None)
    experiment = config
    data = data_directory(experiment, root)
    run = training_directory(experiment, root)
    checkpoint = find_finished_checkpoint(run, experiment.training.steps)
    sampling = _sample_stages(experiment, run, checkpoint)
    return [
        Stage("prepare", data, is_complete(data, "prepared")),
        Stage("train", run, checkpoint is not None),
        *sampling,
        *_figures(experiment, run, checkpoint),
        _evaluation_stage(experiment, run, sampling),
    ]


def _sample_stages(experiment: Experiment, run: Path, checkpoint: Checkpoint | None) -> list[Stage]:
    stages = []
    for sampler in experiment.sampling.samplers:
        directory = None
        if checkpoint is not None:
            directory = samples_directory(run, checkpoint.digest, sampler, experiment)
        done = directory is not None and is_complete(directory, "samples")
        stages.append(Stage(f"sample {sampler.label}", directory, done))
    return stages


def _figures(config: Experiment | FiguresConfig, run: Path, checkpoint: Checkpoint | None) -> list[Stage]:
    stages = []
    for figure in config.figures:
        directory = None
        if checkpoint is not None or not figure.needs_model:
            digest = checkpoint.digest if checkpoint is not None and figure.needs_model else ""
            directory = figures_directory(run, digest, figure, config)
        done = directory is not None and is_complete(directory, "figures")
        stages.append(Stage(f"figures {figure.label}", directory, done))
    return stages


def _evaluation_stage(experiment: Experiment, run: Path, sampling: list[Stage]) -> Stage:
    samples = [Samples.finished(stage.directory) if stage.directory else None for stage in sampling]
    identities = [finished.identity for finished in samples if finished is not None]
    if len(identities) < len(sampling):
        return Stage("evaluate", None, False)
    directory = evaluation_directory(run, identities, experiment)
    return Stage("evaluate", directory, is_complete(directory, "evaluation"))
