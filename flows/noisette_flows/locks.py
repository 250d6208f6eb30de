"""Lock files and their signatures: a copy of a locked file is not locked, and its process id is meaningless.

A process that locks a file also writes the file's inode and machine into it. An unlocked file proves that its
process has ended only if the signature still matches: the file is not a copy, nor seen from another machine that
does not share the lock.
"""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path

from noisette.storage import try_lock

__all__ = ["is_original", "lock_or_close", "sign"]

_BOOT = Path("/proc/sys/kernel/random/boot_id")


def lock_or_close(handle: int) -> bool:
    """Lock an open file; close it and return False if another process holds the lock.

    Raises:
        OSError: if the file system has no locks; the file is closed.
    """
    locked = False
    try:
        locked = try_lock(handle)
    finally:
        if not locked:
            os.close(handle)
    return locked


def sign(handle: int) -> None:
    """Write the identity of an open file into it.

    Raises:
        OSError: if the disk is full.
    """
    signature = json.dumps(_signature(handle)).encode()
    os.ftruncate(handle, 0)
    os.pwrite(handle, signature, 0)


def is_original(handle: int) -> bool:
    """Return whether an open file is the one that was signed, on this machine."""
    try:
        signed = json.loads(os.pread(handle, 4096, 0))
    except ValueError:
        return False
    here = _signature(handle)
    if not isinstance(signed, dict):
        return False
    since_boot = ("boot", "device", "inode")
    if all(signed.get(name) == here[name] for name in since_boot):
        return True
    # device numbers may change at boot
    return signed.get("boot") != here["boot"] and all(signed.get(name) == here[name] for name in ("host", "inode"))


def _signature(handle: int) -> dict[str, str | int]:
    stat = os.fstat(handle)
    boot = _BOOT.read_text(encoding="ascii").strip() if _BOOT.exists() else ""
    return {"host": socket.gethostname(), "boot": boot, "device": stat.st_dev, "inode": stat.st_ino}
