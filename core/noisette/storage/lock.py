"""Locks of files and directories; the kernel releases those of a process that ends."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from noisette.errors import OwnedError
from noisette.storage.files import disk_errors, make_directory

__all__ = ["is_locked", "lock_file", "owned", "try_lock"]


@contextmanager
def lock_file(path: Path) -> Iterator[None]:
    """Hold the lock of a file, made if it does not exist; wait while another process holds it."""
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def try_lock(handle: int) -> bool:
    """Lock an open file until it is closed; return False if another process holds the lock."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextmanager
def owned(directory: Path) -> Iterator[None]:
    """Hold the lock of a directory, made if it does not exist.

    Raises:
        OwnedError: if another process holds it; the message has its process id.
        StorageError: if the directory cannot be written.
    """
    with disk_errors(directory):
        handle = _acquire_lock(directory)
    try:
        yield
    finally:
        os.close(handle)


def is_locked(path: Path) -> bool:
    """Return whether a process holds the lock of a file."""
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
    if not try_lock(handle):
        owner = os.pread(handle, 32, 0).decode(errors="replace").strip() or "unknown"
        os.close(handle)
        raise OwnedError(f"{directory}: process {owner} is working in it; wait for it or end it")
    try:
        _write_pid(handle, directory)
    except OSError:
        os.close(handle)
        raise
    return handle


def _write_pid(handle: int, directory: Path) -> None:
    """Write the process id; on a full disk, remove the empty directory."""
    try:
        os.ftruncate(handle, 0)
        os.pwrite(handle, str(os.getpid()).encode(), 0)
    except OSError:
        with suppress(OSError):
            (directory / ".owner").unlink()
            directory.rmdir()
        raise
