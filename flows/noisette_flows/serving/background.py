"""A server in the background: a file with its address, locked for the lifetime of its process.

The server inherits the lock from the process that starts it, and the kernel releases it when the server ends, for
any reason. The id of a process that has ended, and may belong to another by now, is never mistaken for a server.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from noisette.storage import try_lock

__all__ = ["FOLDER", "BackgroundServer", "RunningServer", "private_folder"]

FOLDER = Path(".noisette")

_GRACE = 20.0  # seconds that a server has to exit


@dataclass(frozen=True)
class RunningServer:
    """A running server.

    Attributes:
        pid: id of its process, which leads its own process group.
        url: its URL on this machine.
        listens: the address that it listens on.
        store: MLflow's tracking URI; empty for Prefect.
    """

    pid: int
    url: str
    listens: str
    store: str = ""


class BackgroundServer:
    """One of the servers of a working folder.

    Args:
        name: "prefect" or "mlflow".
        folder: folder of its file and log.
    """

    def __init__(self, name: str, folder: Path = FOLDER) -> None:
        self.name = name
        self.log = folder / f"{name}.log"
        self._file = folder / f"{name}.json"

    @property
    def running(self) -> RunningServer | None:
        """The running server, or None."""
        try:
            handle = os.open(self._file, os.O_RDWR | os.O_CLOEXEC)
        except OSError:
            return None
        try:
            if try_lock(handle):
                return None
            return RunningServer(**json.loads(os.pread(handle, 4096, 0)))
        except (ValueError, TypeError):  # it is being started
            return None
        finally:
            os.close(handle)

    def start(
        self, command: Sequence[str], environment: Mapping[str, str], url: str, listens: str, store: str = ""
    ) -> subprocess.Popen[bytes] | None:
        """Start a server; return its process, or None if one is running or starting."""
        private_folder(self._file.parent)
        handle = os.open(self._file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            if not try_lock(handle):
                return None
            os.ftruncate(handle, 0)
            with self.log.open("wb") as log:
                process = subprocess.Popen(
                    command,
                    env=environment,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                    pass_fds=(handle,),
                )
            os.pwrite(handle, json.dumps(asdict(RunningServer(process.pid, url, listens, store))).encode(), 0)
            return process
        finally:
            os.close(handle)

    def stop(self) -> bool:
        """Stop the server with all its processes; return whether there was one."""
        running = self.running
        if running is None:
            return False
        _signal(running.pid, signal.SIGTERM)
        deadline = time.monotonic() + _GRACE
        while self.running is not None and time.monotonic() < deadline:
            time.sleep(0.1)
        _signal(running.pid, signal.SIGKILL)  # including its helpers
        self._file.unlink(missing_ok=True)
        return True

    def last_output(self) -> str:
        """Return the last lines of the log."""
        with suppress(OSError):
            return "\n".join(self.log.read_text(encoding="utf-8", errors="replace").splitlines()[-5:])
        return ""


def private_folder(folder: Path) -> None:
    """Create a folder that only its owner can read; access to an existing one is restricted."""
    folder.mkdir(mode=0o700, exist_ok=True)
    folder.chmod(0o700)


def _signal(group: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.killpg(group, number)
