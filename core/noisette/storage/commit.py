"""Atomic writes of directories.

Files are written into a staging directory next to the target and flushed to disk, the manifest last; then the
directory is renamed, so that a target is always complete. Files whose names start with a dot are not part of it.
"""

from __future__ import annotations

import errno
import glob
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from noisette.storage.files import disk_errors, make_directory, sync
from noisette.storage.lock import owned
from noisette.storage.manifest import MANIFEST, FileRecord, Manifest, sha256_of, write_manifest

__all__ = ["committed", "resumable"]

_STAGING = ".staging-"
_PARTIAL = ".partial-"
_REPLACED = ".replaced-"
_TARGET_EXISTS = (errno.ENOTEMPTY, errno.EEXIST)


@contextmanager
def committed(target: Path, kind: str, about: dict[str, Any]) -> Iterator[Path]:
    """Yield a staging directory to write into; it becomes `target`, with a manifest, at the end of the block.

    If the block raises, the staging directory is removed and the target is unchanged. An existing target is
    replaced. `about` may be filled inside the block.

    Raises:
        StorageError: if the disk is full or cannot be written; the target is unchanged.
    """
    staging = target.with_name(f"{_STAGING}{target.name}-{os.getpid()}")
    with disk_errors(target):
        try:
            _clean_up(target)
            make_directory(target.parent)
            staging.mkdir()
            yield staging
            _commit(staging, target, kind, about)
        finally:
            shutil.rmtree(staging, ignore_errors=True)


@contextmanager
def resumable(target: Path, kind: str, about: dict[str, Any]) -> Iterator[Path]:
    """As `committed`, for long work: after an interrupt or a kill, the next call yields the files written so far.

    Files may be incomplete then, so the block must check them. After an error the staging directory is removed. The
    staging directory is locked.

    Raises:
        OwnedError: if another process is writing the same target; the message has its process id.
        StorageError: as `committed`.
    """
    staging = target.with_name(f"{_PARTIAL}{target.name}")
    with disk_errors(target), owned(staging):
        try:
            _clean_up(target)
            yield staging
            _commit(staging, target, kind, about)
        except Exception:
            shutil.rmtree(staging, ignore_errors=True)
            raise
    for hidden in target.glob(".*"):
        hidden.unlink(missing_ok=True)


def _commit(staging: Path, target: Path, kind: str, about: dict[str, Any]) -> None:
    files = {}
    for path in sorted(path for path in staging.iterdir() if not path.name.startswith(".")):
        if path.name == MANIFEST:
            continue
        sync(path)
        files[path.name] = FileRecord(bytes=path.stat().st_size, sha256=sha256_of(path))
    sync(write_manifest(staging, Manifest(kind=kind, about=about, files=files)))
    sync(staging)
    _replace_target(staging, target)


def _replace_target(staging: Path, target: Path) -> None:
    previous = target.with_name(f"{_REPLACED}{target.name}-{os.getpid()}")
    while not _try_rename(staging, target, previous):
        pass  # another process wrote the target meanwhile; it is replaced too
    shutil.rmtree(previous, ignore_errors=True)
    sync(target.parent)


def _try_rename(staging: Path, target: Path, previous: Path) -> bool:
    """Rename, keeping an existing target as `previous`; return False if another process interfered."""
    if target.exists():
        try:
            target.rename(previous)
        except FileNotFoundError:
            return False
    try:
        staging.rename(target)
    except OSError as error:
        if error.errno in _TARGET_EXISTS:
            shutil.rmtree(previous, ignore_errors=True)
            return False
        if previous.exists():
            previous.rename(target)
        raise
    return True


def _clean_up(target: Path) -> None:
    """Remove the files of killed writers of the same target; restore a target that they had renamed."""
    for leftover in _leftovers(_REPLACED, target):
        if not target.exists():
            leftover.rename(target)
    for leftover in [*_leftovers(_REPLACED, target), *_leftovers(_STAGING, target)]:
        shutil.rmtree(leftover, ignore_errors=True)


def _leftovers(prefix: str, target: Path) -> list[Path]:
    found = target.parent.glob(f"{prefix}{glob.escape(target.name)}-*")
    return [path for path in found if not _is_alive(path.name.rpartition("-")[2])]


def _is_alive(pid: str) -> bool:
    try:
        os.kill(int(pid), 0)
    except (ProcessLookupError, ValueError, OverflowError):
        return False
    except PermissionError:
        return True
    return int(pid) != os.getpid()
