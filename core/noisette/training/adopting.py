"""What a training that goes on behind another run takes over from it, so that its directory is whole by itself.

The journal, the best checkpoint and the snapshots of averaged weights, each up to the step at which it goes on.
"""

from __future__ import annotations

import logging
import shutil
from pathlib import Path

from noisette.errors import StorageError
from noisette.journal import Journal
from noisette.storage import committed, is_complete, verify

__all__ = ["adopt"]

log = logging.getLogger(__name__)

_KEPT = {"best/checkpoints": "checkpoint", "snapshots": "snapshot"}


def adopt(run: Path, other: Path, step: int, journal: Journal) -> None:
    """Take over into a run directory what another one has up to a step; what is damaged is left, and said.

    Raises:
        StorageError: if the disk is full.
    """
    journal.adopt(other, "train", step)
    for folder, kind in _KEPT.items():
        for place in sorted((other / folder).glob("step-*")):
            taken = int(place.name.removeprefix("step-"))
            if taken <= step and not is_complete(run / folder / place.name, kind):
                _copied(place, run / folder / place.name, kind)


def _copied(source: Path, target: Path, kind: str) -> None:
    try:
        manifest = verify(source, kind)
    except StorageError as error:
        log.warning("not taken over: %s", error)
        return
    with committed(target, kind, manifest.about) as staging:
        for file in manifest.files:
            shutil.copyfile(source / file, staging / file)
