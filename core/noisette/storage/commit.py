"""Writing a directory so that it is whole or not there, whatever happens on the way.

Files are written into a staging directory beside the target and flushed to disk; the manifest comes last; then
one rename makes the directory appear. Whoever sees the target sees all of it.
"""

from __future__ import annotations

import errno
import glob
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from noisette.errors import StorageError
from noisette.storage.manifest import FileRecord, Manifest, sha256_of, write_manifest

__all__ = ["committed"]

_STAGING = ".staging-"
_REPLACED = ".replaced-"

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


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
    except Exception as error:
        cause = _cause(error, staging)
        if cause is None:
            raise
        raise StorageError(f"{target}: cannot be written: {cause}; nothing was changed") from error
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _write_manifest(staging: Path, kind: str, about: dict[str, Any]) -> None:
    files = {}
    for path in sorted(staging.iterdir()):
        _sync(path)
        files[path.name] = FileRecord(bytes=path.stat().st_size, sha256=sha256_of(path))
    _sync(write_manifest(staging, Manifest(kind=kind, about=about, files=files)))
    _sync(staging)


def _put_in_place(staging: Path, target: Path) -> None:
    if target.exists():
        aside = target.with_name(f"{_REPLACED}{target.name}-{os.getpid()}")
        target.rename(aside)
        try:
            staging.rename(target)
        except OSError:
            aside.rename(target)
            raise
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
    """Remove what a killed writer of the same target left behind; what it had set aside comes back."""
    for leftover in _leftovers(_REPLACED, target):
        if not target.exists():
            leftover.rename(target)
    for leftover in [*_leftovers(_REPLACED, target), *_leftovers(_STAGING, target)]:
        shutil.rmtree(leftover, ignore_errors=True)


def _leftovers(prefix: str, target: Path) -> list[Path]:
    found = target.parent.glob(f"{prefix}{glob.escape(target.name)}-*")
    return [path for path in found if not _alive(path.name.rpartition("-")[2])]


def _alive(pid: str) -> bool:
    try:
        os.kill(int(pid), 0)
    except (ProcessLookupError, ValueError, OverflowError):
        return False
    except PermissionError:
        return True
    return int(pid) != os.getpid()


def _cause(error: Exception, staging: Path) -> str | None:
    """Return why the disk did not take what was written; None if the error is about something else."""
    number = _number(error)
    if number in _FULL:
        return f"{os.strerror(number)} (free some space and start again)"
    if not isinstance(error, OSError):
        return None
    if type(error) is OSError and number is None:  # how numpy says that a write fell short
        return f"{error} (is the disk full?)"
    elsewhere = error.filename is not None and not _within(error.filename, staging.parent)
    return None if number is None or elsewhere else os.strerror(number)


def _number(error: Exception) -> int | None:
    """Return the number of an operating system's error; safetensors hides it in its text."""
    if isinstance(error, OSError):
        return error.errno
    found = re.search(r"\(os error (\d+)\)", str(error)) if type(error).__name__ == "SafetensorError" else None
    return int(found[1]) if found else None


def _within(filename: Any, folder: Path) -> bool:
    return isinstance(filename, str) and Path(filename).absolute().is_relative_to(folder.absolute())
