"""Writing a directory so that it is whole or not there, whatever happens on the way.

Files are written into a staging directory beside the target and flushed to disk; the manifest comes last; then
one rename makes the directory appear. Whoever sees the target sees all of it.
"""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from noisette.errors import StorageError
from noisette.storage.manifest import MANIFEST, FileRecord, Manifest, sha256_of

__all__ = ["committed"]

_STAGING = ".staging-"


@contextmanager
def committed(target: Path, kind: str, about: dict[str, Any]) -> Iterator[Path]:
    """Give a staging directory to write into; at the end it becomes `target`, with a manifest.

    If the block raises, the staging directory is removed and the target stays as it was. A target that is
    already there is replaced. `about` may be filled in inside the block.

    Raises:
        StorageError: if the disk is full or cannot be written; the target is then as it was before.
    """
    staging = target.with_name(f"{_STAGING}{target.name}-{os.getpid()}")
    try:
        _sweep(target)
        staging.mkdir(parents=True)
        yield staging
        _write_manifest(staging, kind, about)
        _put_in_place(staging, target)
    except OSError as error:
        raise StorageError(f"{target}: cannot be written: {_cause(error)}; nothing was changed") from error
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _write_manifest(staging: Path, kind: str, about: dict[str, Any]) -> None:
    files = {}
    for path in sorted(staging.iterdir()):
        _sync(path)
        files[path.name] = FileRecord(bytes=path.stat().st_size, sha256=sha256_of(path))
    manifest = staging / MANIFEST
    manifest.write_text(
        Manifest(kind=kind, about=about, files=files).model_dump_json(indent=1), encoding="utf-8"
    )
    _sync(manifest)
    _sync(staging)


def _put_in_place(staging: Path, target: Path) -> None:
    if target.exists():
        aside = target.with_name(f"{_STAGING}{target.name}-replaced-{os.getpid()}")
        target.rename(aside)
        staging.rename(target)
        shutil.rmtree(aside, ignore_errors=True)
    else:
        staging.rename(target)
    _sync(target.parent)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _sweep(target: Path) -> None:
    """Remove what a killed writer of the same target left behind."""
    for leftover in target.parent.glob(f"{_STAGING}{target.name}-*"):
        if not _alive(leftover.name.rpartition("-")[2]):
            shutil.rmtree(leftover, ignore_errors=True)


def _alive(pid: str) -> bool:
    try:
        os.kill(int(pid), 0)
    except (ProcessLookupError, ValueError):
        return False
    except PermissionError:
        return True
    return int(pid) != os.getpid()


def _cause(error: OSError) -> str:
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return f"{error.strerror} (free some space and start again)"
    return error.strerror or str(error)
