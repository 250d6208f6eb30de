"""The journal of a run: `metrics.jsonl`, append-only, with one record of metrics per line.

    {"time": 1732269000.123, "stage": "train", "name": "digits", "step": 50, "metrics": {"loss": 0.12}}

Trackers can be filled from it again. A resumed run repeats some steps, with equal results; their lines are not
written twice.
"""

from __future__ import annotations

import json
import logging
import os
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypedDict

from noisette.errors import StorageError
from noisette.hooks import Run, hookimpl
from noisette.storage import disk_errors, make_directory, sync

__all__ = ["JOURNAL", "Journal", "JournalEntry", "read_journal"]

JOURNAL = "metrics.jsonl"

log = logging.getLogger(__name__)


class JournalEntry(TypedDict):
    """One line of the journal; `time` is in seconds since 1970."""

    time: float
    stage: str
    name: str
    step: int
    metrics: dict[str, float]


def read_journal(directory: Path) -> Iterator[JournalEntry]:
    """Yield the entries of a run directory, without an incomplete last line.

    Damaged lines are skipped with a warning.
    """
    path = directory / JOURNAL
    if not path.exists():
        return
    with path.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            if not line.endswith(b"\n"):
                return
            try:
                yield _parse_entry(json.loads(line))
            except (ValueError, TypeError, KeyError):
                log.warning("%s: line %d is damaged and skipped", path, number)


class Journal:
    """A listener that writes metrics to the journal of a run directory."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / JOURNAL
        with disk_errors(self._path):
            make_directory(directory)
            self._drop_partial_line()
        self._known_keys = {_entry_key(entry) for entry in read_journal(directory)}

    @hookimpl
    def on_metrics(self, run: Run, step: int, metrics: Mapping[str, float]) -> None:
        """Append a line, unless there is one for this step of this run.

        Raises:
            StorageError: if the disk is full; earlier lines are kept.
        """
        values = {key: float(value) for key, value in metrics.items()}  # also of tensors
        entry = JournalEntry(time=time.time(), stage=run.stage, name=run.name, step=step, metrics=values)
        self._append([entry])

    def copy_from(self, other: Path, stage: str, last: int) -> None:
        """Append the entries of a stage of another run directory up to step `last`."""
        self._append([entry for entry in read_journal(other) if entry["stage"] == stage and entry["step"] <= last])

    def _append(self, entries: Iterable[JournalEntry]) -> None:
        new = {_entry_key(entry): entry for entry in entries if _entry_key(entry) not in self._known_keys}
        if not new:
            return
        first = not self._path.exists()
        try:
            with disk_errors(self._path), self._path.open("ab") as file:
                file.write(b"".join(json.dumps(entry).encode() + b"\n" for entry in new.values()))
                file.flush()
                os.fsync(file.fileno())
            if first:
                sync(self._path.parent)
        except StorageError:
            self._drop_partial_line()
            raise
        self._known_keys.update(new)

    def _drop_partial_line(self) -> None:
        """Remove an incomplete last line, left by a crash or a full disk."""
        if not self._path.exists():
            return
        content = self._path.read_bytes()
        end = content.rfind(b"\n") + 1
        if end < len(content):
            os.truncate(self._path, end)


def _parse_entry(values: dict[str, Any]) -> JournalEntry:
    metrics = {str(key): float(value) for key, value in values["metrics"].items()}
    return JournalEntry(
        time=float(values["time"]),
        stage=str(values["stage"]),
        name=str(values["name"]),
        step=int(values["step"]),
        metrics=metrics,
    )


def _entry_key(entry: Mapping[str, Any]) -> tuple[str, str, int, frozenset[str]]:
    return entry["stage"], entry["name"], entry["step"], frozenset(entry["metrics"])
