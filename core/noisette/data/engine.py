"""The prepare stage: convert a data set into prepared images."""

from __future__ import annotations

import logging
import time
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from noisette.code_changes import warn_if_code_changed
from noisette.contracts import Split
from noisette.data.duplicates import log_duplicates
from noisette.data.prepared import Prepared
from noisette.errors import DataError, OwnedError
from noisette.events import Events
from noisette.hooks import Run
from noisette.layout import data_directory
from noisette.plugins import registry
from noisette.progress import default_events
from noisette.storage import cache_directory, resumable

if TYPE_CHECKING:
    from noisette.config import Experiment

__all__ = ["prepare"]

log = logging.getLogger(__name__)

_EDITED_NOTE = "preparing again; a training is kept if the images come out the same"
_POLL_SECONDS = 1.0  # seconds between checks while another process prepares the same images


def prepare(
    experiment: Experiment,
    root: Path | str = "runs",
    *,
    again: bool = False,
    events: Events | None = None,
    cache: Path | None = None,
) -> Prepared:
    """Read the experiment's data set, make its images uniform and write them to disk.

    Existing results are returned without reading the data set. Images are streamed to disk one by one, so memory
    is bounded. An interrupted call is resumed by the next one. If another process prepares the same images, the
    call waits for it. Files that are not images are skipped, counted and listed in `rejected.jsonl` with the
    reason.

    Args:
        experiment: experiment whose `dataset` and `preparation` determine the images.
        root: folder of all results.
        again: prepare the images again; existing ones are replaced when the new ones are complete.
        events: receives progress, in files read.
        cache: folder of downloads; see `noisette.storage.cache_directory`.

    Raises:
        DataError: if the data is not available, a split has no usable images, images differ in size or channels
            and the preparation does not set them, or the data changes during reading.
        StorageError: if the disk is full or not writable. Partial results are never left behind.
    """
    directory = data_directory(experiment, Path(root))
    others: set[str] = set()
    while (done := Prepared.finished(directory)) is None or again:
        try:
            return _prepare(experiment, Path(root), events or default_events(), cache or cache_directory())
        except OwnedError as error:
            if str(error) not in others:
                log.info("waiting: %s", error)
            others.add(str(error))
            time.sleep(_POLL_SECONDS)
    return done


def _prepare(experiment: Experiment, root: Path, events: Events, cache: Path) -> Prepared:
    directory = data_directory(experiment, root)
    run = Run(
        "prepare", experiment.dataset.name, directory, _count_examples(experiment), _describe_options(experiment)
    )
    warn_if_code_changed(
        directory, "prepared", [registry().origin_of(experiment.dataset)], run.options, _EDITED_NOTE
    )
    with ExitStack() as stage, resumable(directory, "prepared", about := dict(run.options)) as staging:
        stage.enter_context(events.stage(run))  # starts after the lock is acquired, ends after the commit
        about.update(_ingest(experiment, staging, cache, run, events))
        if data_directory(experiment, root) != directory:
            raise DataError(f"{run.name}: changed while it was read; start again when it is at rest")
    prepared = Prepared.open(directory)
    _log_warnings(prepared)
    return prepared


def _count_examples(experiment: Experiment) -> int:
    """Return the number of examples to read, or 0 if the data set does not know it."""
    lengths = [experiment.dataset.length(split) for split in get_args(Split)]
    limit = experiment.preparation.limit
    known = [length if limit is None else min(length, limit) for length in lengths if length is not None]
    return sum(known) if len(known) == len(lengths) else 0


def _describe_options(experiment: Experiment) -> dict[str, Any]:
    return {
        "dataset": experiment.dataset.options(),
        "preparation": experiment.preparation.model_dump(mode="json"),
    }


def _ingest(experiment: Experiment, staging: Path, cache: Path, run: Run, events: Events) -> dict[str, Any]:
    from noisette.data.ingest import ingest  # imports numpy and Pillow, not needed for a finished stage

    def progress(found: int, rejected: int) -> None:
        events.step(run, found, {"rejected": float(rejected)})

    return ingest(experiment.dataset, experiment.preparation, staging, cache, progress)


def _log_unchecked(about: dict[str, Any]) -> None:
    """Log how many files have formats in which damage can go unnoticed."""
    from noisette.data.damage import CHECKSUMS

    formats = Counter[str]()
    for part in about["formats"].values():
        formats.update({name: count for name, count in part.items() if name not in CHECKSUMS})
    if formats:
        kinds = ", ".join(f"{count} {name}" for name, count in sorted(formats.items()))
        log.info(
            "damage inside %d files may go unnoticed, as their formats have no checksums: %s",
            formats.total(),
            kinds,
        )


def _log_warnings(prepared: Prepared) -> None:
    """Log what a user should know before training on these images."""
    counts = prepared.about["counts"].values()
    found, rejected = (sum(count[what] for count in counts) for what in ("found", "rejected"))
    if rejected:
        reasons = prepared.directory / "rejected.jsonl"
        log.warning("%d of %d files are left out; the reasons are in %s", rejected, found, reasons)
    log_duplicates(prepared.about["dataset"]["name"], prepared.about)
    _log_unchecked(prepared.about)
    of_class = zip(prepared.classes, prepared.about["class_counts"]["train"], strict=True)
    empty = [name for name, count in of_class if not count]
    if empty:
        log.warning("%s: no training images of the classes %s", prepared.directory, ", ".join(empty))
