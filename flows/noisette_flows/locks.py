"""Which file a lock is on: a copy of a locked file is not locked, and says nothing of the process that it names.

So whoever locks a file writes into it which file it is, by its inode, and on which machine. A file that is free
belongs to a process that is gone only if it is still that file: no copy, nor seen from a machine without the lock.
"""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path

__all__ = ["is_original", "sign"]

_BOOT = Path("/proc/sys/kernel/random/boot_id")


def sign(handle: int) -> None:
    """Write into an open file which file it is.

    Raises:
        OSError: if there is no space even for that.
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
    # numbers of devices may change with a boot
    return signed.get("boot") != here["boot"] and all(signed.get(name) == here[name] for name in ("host", "inode"))


def _signature(handle: int) -> dict[str, str | int]:
    stat = os.fstat(handle)
    boot = _BOOT.read_text(encoding="ascii").strip() if _BOOT.exists() else ""
    return {"host": socket.gethostname(), "boot": boot, "device": stat.st_dev, "inode": stat.st_ino}
