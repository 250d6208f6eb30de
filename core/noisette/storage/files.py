"""Files: atomic writes, digests, directories, and errors of the disk."""

from __future__ import annotations

import errno
import json
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any

from noisette.errors import StorageError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import DTypeLike

__all__ = ["atomic_write", "cache_directory", "create_array", "digest", "disk_errors", "make_directory", "sync"]

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@contextmanager
def disk_errors(target: Path) -> Iterator[None]:
    """Convert errors of writing `target`, or files next to it, in the block.

    Raises:
        StorageError: if the disk is full or cannot be written. Other errors, such as of reading other files,
            propagate.
    """
    try:
        yield
    except Exception as error:
        cause = _cause(error, target.parent)
        if cause is None:
            raise
        raise StorageError(f"{target}: cannot be written: {cause}; nothing was changed") from error


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Yield a temporary path in the folder of `path`; its file replaces `path` at the end of the block.

    After an exception the temporary file is removed and `path` is unchanged.

    Raises:
        StorageError: as `disk_errors`.
    """
    temporary = path.with_name(f".{path.name}-{os.getpid()}")
    with disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield temporary
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)


def _cause(error: Exception, folder: Path) -> str | None:
    """Return why a write failed; None for other errors."""
    number = _errno_of(error)
    if number in _FULL:
        return f"{os.strerror(number)} (free some space and start again)"
    if not isinstance(error, OSError):
        return None
    if type(error) is OSError and number is None:  # numpy's error for an incomplete write
        return f"{error} (is the disk full?)"
    elsewhere = error.filename is not None and not _is_within(error.filename, folder)
    return None if number is None or elsewhere else os.strerror(number)


def _errno_of(error: Exception) -> int | None:
    """Return the errno of an error; safetensors has it in the message only."""
    if isinstance(error, OSError):
        return error.errno
    found = re.search(r"\(os error (\d+)\)", str(error)) if type(error).__name__ == "SafetensorError" else None
    return int(found[1]) if found else None


def _is_within(filename: Any, folder: Path) -> bool:
    return isinstance(filename, str) and Path(filename).absolute().is_relative_to(folder.absolute())


def sync(path: Path) -> None:
    """Flush a file or the entries of a directory to the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def cache_directory() -> Path:
    """Return NOISETTE_CACHE, else `noisette` in XDG_CACHE_HOME, else ~/.cache/noisette; it may not exist."""
    if own := os.environ.get("NOISETTE_CACHE"):
        return Path(own).expanduser()
    shared = os.environ.get("XDG_CACHE_HOME", "")
    if Path(shared).is_absolute():  # the specification says to ignore relative ones
        return Path(shared) / "noisette"
    return Path.home() / ".cache" / "noisette"


def make_directory(path: Path) -> None:
    """Make a directory and its parents, if they do not exist, and flush their entries to the disk."""
    missing = [folder for folder in (path, *path.parents) if not folder.exists()]
    if missing:
        path.mkdir(parents=True, exist_ok=True)
    elif not path.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(path))
    for folder in reversed(missing):
        sync(folder.parent)


def create_array(path: Path, shape: Sequence[int], dtype: DTypeLike) -> np.memmap[Any, Any]:
    """Create a `.npy` file of zeros, memory-mapped for writing, with its disk space reserved.

    Without reservation the file is sparse, and a full disk kills the process with SIGBUS.

    Raises:
        OSError: if the disk has too little space.
    """
    import numpy as np

    array = np.lib.format.open_memmap(path, mode="w+", dtype=dtype, shape=tuple(shape))
    if hasattr(os, "posix_fallocate"):
        handle = os.open(path, os.O_RDWR)
        try:
            os.posix_fallocate(handle, 0, path.stat().st_size)
        finally:
            os.close(handle)
    return array


def digest(*parts: Any) -> str:
    """Return ten hexadecimal digits that differ if any of the parts (JSON values) does.

    The order of a mapping's keys does not matter.
    """
    text = json.dumps(parts, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return blake2b(text.encode(), digest_size=5).hexdigest()
