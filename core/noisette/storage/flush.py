"""Onto the disk: a file is safe when it and the directory that names it are flushed."""

from __future__ import annotations

import errno
import os
from pathlib import Path

__all__ = ["make_directory", "sync"]


def sync(path: Path) -> None:
    """Flush a file's content, or the names in a directory, to the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def make_directory(path: Path) -> None:
    """Make a directory with those above it, each flushed into the one above; one that is there is left."""
    missing = [folder for folder in (path, *path.parents) if not folder.exists()]
    if missing:
        path.mkdir(parents=True, exist_ok=True)
    elif not path.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(path))
    for folder in reversed(missing):
        sync(folder.parent)
