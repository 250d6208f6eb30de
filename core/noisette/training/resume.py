"""Where a training starts: from its own last checkpoint, or from that of a run with the same options."""

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
from noisette.config import Training
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
"""File in a run directory whose training starts at step 0, whatever other runs have."""
_DECISIVE = ("seed", "timesteps", "schedule", "objective", "backbone", "training")


def set_aside(experiment: Experiment, root: Path) -> Path | None:
    """Rename the directory of a finished training, so that the next one starts at step 0.

    Args:
        experiment: the trained experiment.
        root: folder of all results.

    Returns:
        The new directory, ``<run>-before-<time>``, with all samples and reports; None if there is no finished
        training.

    Raises:
        CheckpointError: if the network was imported.
        OwnedError: if another process uses the directory.
    """
    if experiment.training.steps == 0:
        raise CheckpointError(f"{experiment.name}: the network is imported, not trained; import it again")
    run = training_directory(experiment, root)
    if find_finished_checkpoint(run, experiment.training.steps) is None:
        return None
    renamed = run.with_name(f"{run.name}-before-{datetime.now():%Y%m%d-%H%M%S}")
    with owned(run):
        run.rename(renamed)
    new = training_directory(experiment, root)
    make_directory(new)
    (new / _MARK).touch()
    log.warning("training again from step 0; the earlier results are kept in %s", renamed)
    return renamed


def find_resume_point(experiment: Experiment, directory: Path, data: Prepared) -> Checkpoint | None:
    """Return the verified checkpoint that a training resumes from, or None if it starts at step 0; logs which.

    Raises:
        CheckpointError: if the checkpoint in the training's own directory has other options.
    """
    own, steps = find_latest_checkpoint(directory), experiment.training.steps
    if own is not None:
        if changed := ", ".join(find_differences(own, experiment, data)):
            raise CheckpointError(
                f"{own.directory}: belongs to another experiment (it differs in {changed}); move it away"
            )
        log.info("training resumes at step %d of %d", own.step, steps)
        return own
    if (directory / _MARK).exists():
        log.info("training starts at step 0, as requested")
        return None
    similar: list[tuple[Checkpoint, list[str]]] = []
    for candidate in _find_in_other_runs(experiment, directory):
        try:
            differences = find_differences(candidate, experiment, data)
            if not differences:
                checkpoint = Checkpoint.open(candidate.directory)
                log.info("training resumes at step %d of %d, from %s", checkpoint.step, steps, checkpoint.directory)
                return checkpoint
            if _has_same_name(candidate, experiment):
                similar.append((candidate, differences))
        except CheckpointError as error:
            log.warning("damaged checkpoint skipped: %s", error)
    if similar:
        _log_fresh_start(*min(similar, key=lambda pair: len(pair[1])))
    return None


def _log_fresh_start(similar: Checkpoint, differences: list[str]) -> None:
    if not all(difference.startswith(_CODE_PREFIX) for difference in differences):
        log.info("training starts at step 0: %s differs in %s", similar.run, ", ".join(differences))
        return
    log.warning(
        "%s has changed since %s was trained (%s): training again from step 0; to use the earlier network, give "
        "its directory instead of a config",
        " and ".join(differences),
        similar.run,
        format_finish_time(similar.directory),
    )


def find_differences(checkpoint: Checkpoint, experiment: Experiment, data: Prepared) -> list[str]:
    """Return the paths of the options, such as "training.lr", in which a checkpoint differs."""
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
    """Yield the unverified checkpoints of other runs up to the experiment's steps, latest first."""
    runs = [run for run in directory.parent.glob("*") if _RUN.fullmatch(run.name) and run != directory]
    usable = [
        checkpoint
        for run in runs
        for checkpoint in list_checkpoints(run)
        if checkpoint.step <= experiment.training.steps
        and (_has_same_name(checkpoint, experiment) or "imported" not in checkpoint.about)
    ]
    return iter(sorted(usable, key=lambda checkpoint: checkpoint.step, reverse=True))


def _has_same_name(checkpoint: Checkpoint, experiment: Experiment) -> bool:
    options = checkpoint.about.get("experiment")
    return isinstance(options, dict) and options.get("name") == experiment.name


def _decisive_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options that affect the weights, by path."""
    stored = {**Training().model_dump(mode="json"), **options["training"]}  # older checkpoints lack newer options
    training = {key: value for key, value in stored.items() if key not in COSMETIC | MONITORING}
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
    """Copy the history of another run up to a step: metrics, snapshots and the best checkpoint.

    Damaged directories are skipped with a warning.

    Raises:
        StorageError: if the disk is full.
    """
    journal.copy_from(other, "train", step)
    for folder, kind in _COPIED_FOLDERS.items():
        for source in sorted((other / folder).glob("step-*")):
            target = run / folder / source.name
            if int(source.name.removeprefix("step-")) <= step and not is_complete(target, kind):
                _copy_verified(source, target, kind)


def _copy_verified(source: Path, target: Path, kind: str) -> None:
    try:
        manifest = verify(source, kind)
    except StorageError as error:
        log.warning("not copied: %s", error)
        return
    with committed(target, kind, manifest.about) as staging:
        for file in manifest.files:
            shutil.copyfile(source / file, staging / file)
