"""Finding a trained model by what a person has at hand: a checkpoint, a run, or the config it was trained from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from noisette.checkpoint import Checkpoint, find_finished_checkpoint, find_latest_checkpoint
from noisette.config import Experiment
from noisette.errors import CheckpointError
from noisette.layout import training_directory
from noisette.storage import MANIFEST

__all__ = ["find_checkpoint", "finished_checkpoint"]


def find_checkpoint(
    place: Path | str, root: Path | str = "runs", overrides: Sequence[str] | Mapping[str, Any] = ()
) -> Checkpoint:
    """Return the checkpoint that a path stands for, its hashes verified.

    Args:
        place: a checkpoint's directory (``runs/digits-05c58a244e/checkpoints/step-00002000``), a run's directory
            (its newest checkpoint that is whole), or the YAML file of an experiment whose training is finished.
        root: folder of all results, where an experiment's run is looked for.
        overrides: changes of the experiment, as `Experiment.load` takes them; only a YAML file can have some.

    Raises:
        CheckpointError: if there is none; says what is there instead, and what to do.
        ConfigError: if the YAML file is not an experiment.
    """
    place = Path(place)
    if not place.exists():
        raise CheckpointError(
            f"{place}: there is no such file or folder; expected a checkpoint's directory, a run's directory, "
            "or the YAML file of a trained experiment"
        )
    if not place.is_dir():
        return finished_checkpoint(Experiment.load(place, overrides), root, str(place))
    if overrides:
        raise CheckpointError(f"{place}: a directory has no config to change; give the YAML file of the experiment")
    if (place / MANIFEST).is_file():
        return Checkpoint.open(place)
    return _newest(place.parent if place.name == "checkpoints" else place)


def finished_checkpoint(experiment: Experiment, root: Path | str = "runs", source: str = "") -> Checkpoint:
    """Return the checkpoint that an experiment's training ended with, its hashes verified.

    Args:
        experiment: what was trained.
        root: folder of all results.
        source: what the experiment is called in messages; its name, if this is empty.

    Raises:
        CheckpointError: if the training is not finished, or the checkpoint is damaged.
    """
    run, source = training_directory(experiment, Path(root)), source or experiment.name
    done = find_finished_checkpoint(run, experiment.training.steps)
    if done is not None:
        return Checkpoint.open(done.directory)
    started = find_latest_checkpoint(run)
    if started is None:
        raise CheckpointError(
            f"{source}: is not trained: there is no checkpoint in {run}; run the train stage first"
        )
    raise CheckpointError(
        f"{source}: its training is not finished: {run} is at step {started.step} of {experiment.training.steps}; "
        "run the train stage first, or give that directory to use its newest checkpoint"
    )


def _newest(run: Path) -> Checkpoint:
    newest = find_latest_checkpoint(run)
    if newest is None:
        raise CheckpointError(
            f"{run}: expected a checkpoint (a directory with a {MANIFEST}) or a run (a directory with checkpoints "
            "in it that are whole); it is neither"
        )
    return newest
