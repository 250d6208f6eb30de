"""Finding a trained model by a checkpoint, a run, or the config of its training."""

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
    """Return the checkpoint of a path, with its hashes verified.

    Args:
        place: a checkpoint's directory (``runs/digits-05c58a244e/checkpoints/step-00002000``), a run's directory
            (its newest complete checkpoint), or the YAML file of an experiment whose training is finished.
        root: results directory with the runs of experiments.
        overrides: changes of the experiment in a YAML file, as for `Experiment.load`.

    Raises:
        CheckpointError: if there is no checkpoint; says what was found instead, and what to do.
        ConfigError: if the YAML file is not a valid experiment.
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
    """Return the last checkpoint of a finished training, with its hashes verified.

    Args:
        experiment: the trained experiment.
        root: results directory.
        source: name of the experiment in messages; "" takes its own.

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
