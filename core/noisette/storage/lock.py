"""One directory, one owner: a second process is refused with the first one's id."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from noisette.errors import OwnedError
from noisette.storage.files import disk_errors, make_directory

__all__ = ["is_locked", "owned"]


@contextmanager
def owned(directory: Path) -> Iterator[None]:
    """Own a directory, made if need be, for the length of the block.

    The kernel drops the lock when the process ends, however it ends.

    Raises:
        OwnedError: if another process owns it, with its process id.
        StorageError: if it cannot be written.
    """
    with disk_errors(directory):
        handle = _acquire_lock(directory)
    try:
        yield
    finally:
        os.close(handle)


def is_locked(path: Path) -> bool:
    """Return whether a living process holds the lock of a file."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(handle)
    return False


def _acquire_lock(directory: Path) -> int:
    make_directory(directory)
    handle = os.open(directory / ".owner", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        _write_pid(handle, directory)
    except BlockingIOError:
        owner = os.pread(handle, 32, 0).decode(errors="replace").strip() or "unknown"
        os.close(handle)
        raise OwnedError(f"{directory}: process {owner} is working in it; wait for it or end it") from None
    except OSError:
        os.close(handle)
        raise
    return handle


def _write_pid(handle: int, directory: Path) -> None:
    """Write down who owns a directory; one that has no room even for that is not left behind empty."""
    try:
        os.ftruncate(handle, 0)
        os.pwrite(handle, str(os.getpid()).encode(), 0)
    except OSError:
        with suppress(OSError):
            (directory / ".owner").unlink()
            directory.rmdir()
        raise
