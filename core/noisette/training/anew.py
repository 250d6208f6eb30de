"""Training anew what is trained already, without losing it."""

from __future__ import annotations

import logging
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from noisette.checkpoint import find_finished_checkpoint
from noisette.errors import CheckpointError
from noisette.layout import training_directory
from noisette.storage import make_directory, owned

if TYPE_CHECKING:
    from noisette.config import Experiment

__all__ = ["is_from_scratch", "set_aside"]

log = logging.getLogger(__name__)

_MARK = ".anew"
"""File in a run directory whose training begins at step 0, whatever other runs have."""


def set_aside(experiment: Experiment, root: Path) -> Path | None:
    """Rename the directory of a finished training, so that the next one begins at step 0.

    Args:
        experiment: what was trained.
        root: folder of all results.

    Returns:
        Where it is now, ``<run>-before-<time>``, with its images and reports; None if there was no finished
        training: one that was stopped goes on.

    Raises:
        CheckpointError: if the network was imported, which only an import can do again.
        OwnedError: if another process works in it.
    """
    if experiment.training.steps == 0:
        raise CheckpointError(f"{experiment.name}: its network was imported, not trained: import it again")
    run = training_directory(experiment, root)
    if find_finished_checkpoint(run, experiment.training.steps) is None:
        return None
    aside = run.with_name(f"{run.name}-before-{datetime.now():%Y%m%d-%H%M%S}")
    with owned(run):
        run.rename(aside)
    fresh = training_directory(experiment, root)
    make_directory(fresh)
    (fresh / _MARK).touch()
    log.warning("training again from step 0; what was made before is kept in %s", aside)
    return aside


def is_from_scratch(run: Path) -> bool:
    """Return whether the training of a directory must not begin behind that of another one."""
    return (run / _MARK).exists()
