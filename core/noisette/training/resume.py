"""Where a training begins: at its own last checkpoint, or at that of a shorter run with the same settings."""

from __future__ import annotations

import logging
import re
import shutil
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from noisette.checkpoint import Checkpoint, find_finished_checkpoint, find_latest_checkpoint, list_checkpoints
from noisette.code_changes import find_changed_plugins, format_finish_time
from noisette.errors import CheckpointError, StorageError
from noisette.journal import Journal
from noisette.layout import COSMETIC, MONITORING, training_directory
from noisette.plugins import registry
from noisette.storage import committed, is_complete, make_directory, owned, verify

if TYPE_CHECKING:
    from noisette.config import Experiment
    from noisette.data import Prepared

__all__ = ["copy_history", "find_differences", "find_resume_point", "set_aside"]

log = logging.getLogger(__name__)

_RUN = re.compile(r"[^.].*-[0-9a-f]{10}")
_CODE_PREFIX = "the code of "
_MARK = ".anew"
"""File in a run directory whose training begins at step 0, whatever other runs have."""
_DECISIVE = ("seed", "timesteps", "schedule", "objective", "backbone", "training")


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


def find_resume_point(experiment: Experiment, directory: Path, data: Prepared) -> Checkpoint | None:
    """Return the verified checkpoint that a training goes on from, or None if it begins at step 0; says which.

    Raises:
        CheckpointError: if the checkpoint in the training's own directory is of another course.
    """
    own, steps = find_latest_checkpoint(directory), experiment.training.steps
    if own is not None:
        if others := find_differences(own, experiment, data):
            raise CheckpointError(
                f"{own.directory}: belongs to another experiment (it differs in {', '.join(others)}); move it away"
            )
        log.info("training goes on at step %d of %d", own.step, steps)
        return own
    if (directory / _MARK).exists():
        log.info("training begins at step 0, as was asked for")
        return None
    near: list[tuple[Checkpoint, list[str]]] = []
    for found in _find_in_other_runs(experiment, directory):
        try:
            others = find_differences(found, experiment, data)
            if not others:
                checkpoint = Checkpoint.open(found.directory)
                log.info(
                    "training goes on at step %d of %d, behind %s", checkpoint.step, steps, checkpoint.directory
                )
                return checkpoint
            if _has_same_name(found, experiment):
                near.append((found, others))
        except CheckpointError as error:
            log.warning("damaged checkpoint passed over: %s", error)
    if near:
        _explain_fresh_start(*min(near, key=lambda pair: len(pair[1])))
    return None


def _explain_fresh_start(near: Checkpoint, others: list[str]) -> None:
    """Say why a training begins at step 0 beside one that is like it."""
    if not all(other.startswith(_CODE_PREFIX) for other in others):
        log.info("training begins at step 0: %s differs in %s", near.run, ", ".join(others))
        return
    log.warning(
        "%s has changed since %s was trained (%s): training again from step 0; to use what was trained before, "
        "give its directory instead of a config",
        " and ".join(others),
        near.run,
        format_finish_time(near.directory),
    )


def find_differences(checkpoint: Checkpoint, experiment: Experiment, data: Prepared) -> list[str]:
    """Return the paths of the options, such as "training.lr", in which a checkpoint is of another course."""
    about = checkpoint.described().model_dump()
    stored, wanted = _decisive_options(about["experiment"]), _decisive_options(experiment.options())
    paths = [path for path in sorted(stored | wanted) if stored.get(path, ...) != wanted.get(path, ...)]
    parts = (experiment.schedule, experiment.objective, experiment.backbone)
    origins = registry().origins_of(parts)
    if _packages(origins) - _packages(about["plugins"]):
        paths.append("the packages of its plugins")
    paths += [f"{_CODE_PREFIX}{name}" for name in find_changed_plugins(origins, about["plugins"])]
    if about["data"] != data.digest:
        paths.append("dataset")
    return paths


def _find_in_other_runs(experiment: Experiment, directory: Path) -> Iterator[Checkpoint]:
    """Yield what other runs have within its steps, furthest first; unverified."""
    runs = [run for run in directory.parent.glob("*") if _RUN.fullmatch(run.name) and run != directory]
    found = [checkpoint for run in runs for checkpoint in list_checkpoints(run)]
    within = [
        checkpoint
        for checkpoint in found
        if checkpoint.step <= experiment.training.steps
        and (_has_same_name(checkpoint, experiment) or "imported" not in checkpoint.about)
    ]
    return iter(sorted(within, key=lambda checkpoint: checkpoint.step, reverse=True))


def _has_same_name(checkpoint: Checkpoint, experiment: Experiment) -> bool:
    options = checkpoint.about.get("experiment")
    return isinstance(options, dict) and options.get("name") == experiment.name


def _decisive_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options that decide a weight, by path."""
    training = {key: value for key, value in options["training"].items() if key not in COSMETIC | MONITORING}
    if training.get("lr_schedule") == "constant":
        training.pop("steps")
    return dict(_flatten({key: options[key] for key in _DECISIVE} | {"training": training}))


def _flatten(options: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    if not isinstance(options, Mapping):
        yield path, list(options) if isinstance(options, tuple) else options
        return
    for key, value in options.items():
        yield from _flatten(value, f"{path}.{key}" if path else str(key))


def _packages(origins: list[dict[str, str]]) -> set[tuple[str, str, str]]:
    return {(origin["kind"], origin["name"], origin["distribution"]) for origin in origins}


_COPIED_FOLDERS = {"best/checkpoints": "checkpoint", "snapshots": "snapshot"}


def copy_history(run: Path, other: Path, step: int, journal: Journal) -> None:
    """Take over into a run directory what another one has up to a step; what is damaged is left, and said.

    Raises:
        StorageError: if the disk is full.
    """
    journal.copy_from(other, "train", step)
    for folder, kind in _COPIED_FOLDERS.items():
        for place in sorted((other / folder).glob("step-*")):
            taken = int(place.name.removeprefix("step-"))
            if taken <= step and not is_complete(run / folder / place.name, kind):
                _copy_verified(place, run / folder / place.name, kind)


def _copy_verified(source: Path, target: Path, kind: str) -> None:
    try:
        manifest = verify(source, kind)
    except StorageError as error:
        log.warning("not taken over: %s", error)
        return
    with committed(target, kind, manifest.about) as staging:
        for file in manifest.files:
            shutil.copyfile(source / file, staging / file)
