"""GPUs shared by the flow runs of one machine: each flow run uses GPUs that no other flow run holds.

A GPU is represented by a locked file in the machine's temporary folder. The kernel releases the lock when the
process that holds it ends, for any reason, and no server is involved: a crashed server cannot leave a GPU locked,
and each machine has its own limit. A machine without a GPU counts as one.
"""

from __future__ import annotations

import os
import re
import tempfile
from contextlib import suppress
from pathlib import Path

from noisette_flows.locks import lock_or_close

__all__ = ["COUNT", "GpuLock"]

COUNT = "NOISETTE_GPUS"
"""Environment variable: the number of flow runs that compute at once on this machine; one per GPU by default."""

_DEVICES = Path("/dev")


class GpuLock:
    """The GPUs that one flow run holds, or waits for.

    Args:
        count: the number of GPUs to take; all of the machine's if there are fewer.
        holder: description of the flow run, shown to those that wait.
    """

    def __init__(self, count: int, holder: str) -> None:
        self._gpus, self._slots = _visible_gpus(), _slots()
        self._count, self._holder = min(count, len(self._slots)), holder
        self._handles: list[int] = []

    def take(self) -> bool:
        """Take the GPUs if enough of them are free; return whether this succeeded."""
        taken: dict[str, int] = {}
        for slot in self._slots:
            handle = _try_lock(_lock_file(slot))
            if handle is not None:
                taken[slot] = handle
            if len(taken) == self._count:
                return self._hold(taken)
        for handle in taken.values():
            os.close(handle)
        return False

    def release(self) -> None:
        """Release the GPUs."""
        while self._handles:
            os.close(self._handles.pop())

    def holders(self) -> list[str]:
        """Return descriptions of the flow runs that hold GPUs of this machine."""
        return sorted({text for text in map(_read_holder, map(_lock_file, self._slots)) if text})

    def _hold(self, taken: dict[str, int]) -> bool:
        self._handles = list(taken.values())
        for handle in self._handles:
            with suppress(OSError):  # another user's file can be locked, but not written
                os.ftruncate(handle, 0)
                os.pwrite(handle, self._holder.encode(), 0)
        if self._gpus:  # before CUDA starts in this process
            os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(dict.fromkeys(slot.partition("+")[0] for slot in taken))
        return True


def _visible_gpus() -> list[str]:
    """Return the GPUs visible to this process, by CUDA's numbers or by their names in CUDA_VISIBLE_DEVICES."""
    chosen = os.environ.get("CUDA_VISIBLE_DEVICES")
    if chosen is not None:
        return [name.strip() for name in chosen.split(",") if name.strip()]
    nodes = list(_DEVICES.glob("nvidia[0-9]*"))  # the only GPU of a container may be nvidia3, with CUDA's number 0
    return [str(number) for number in range(len(nodes))]


def _slots() -> list[str]:
    """Return a name for each flow run that can compute at once: that of a GPU, and ``0+1`` for its second."""
    gpus = _visible_gpus() or ["cpu"]
    count = os.environ.get(COUNT, "")
    wanted = int(count) if count.isascii() and count.isdigit() and int(count) > 0 else len(gpus)
    rounds = (divmod(index, len(gpus)) for index in range(wanted))
    return [gpus[index] + (f"+{turn}" if turn else "") for turn, index in rounds]


def _lock_file(slot: str) -> Path:
    return Path(tempfile.gettempdir()) / f"noisette-gpu-{re.sub(r'[^A-Za-z0-9+-]', '-', slot)}.lock"


def _try_lock(path: Path) -> int | None:
    """Lock a file and return its handle; None if another process has locked it."""
    handle = _open_shared(path)
    return handle if lock_or_close(handle) else None


def _open_shared(path: Path) -> int:
    """Open a file that all users of the machine share; users other than its owner can at least read it."""
    with suppress(PermissionError):
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)
        os.fchmod(handle, 0o644)  # independent of the umask
        return handle
    return os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)


def _read_holder(path: Path) -> str:
    """Return the description of the flow run that holds a GPU, in one line; empty if there is none."""
    handle = _try_lock(path)
    if handle is not None:
        os.close(handle)
        return ""
    text = path.read_bytes()[:200].decode(errors="replace")
    return "".join(char for char in text if char.isprintable()) or "another process"
