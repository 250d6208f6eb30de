"""The servers of a working folder in the background: their files, their password, and how flows use them.

A file with the server's address is locked for the lifetime of its process. The server inherits the lock from the
process that starts it, and the kernel releases it when the server ends, for any reason. The id of a process that
has ended, and may belong to another by now, is never mistaken for a server. The password is NOISETTE_PASSWORD, or a
generated one stored in the folder.
"""

from __future__ import annotations

import json
import os
import secrets
import signal
import stat
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from noisette import NoisetteError
from noisette.storage import try_lock

__all__ = [
    "FOLDER",
    "USER",
    "BackgroundServer",
    "RunningServer",
    "ServingError",
    "connect",
    "ensure_password",
    "mlflow_url_of",
    "private_folder",
    "read_password",
    "running_prefect",
]

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


USER = "noisette"

_PASSWORD_FILE = "password"


class ServingError(NoisetteError):
    """Servers that cannot be started or used."""


def ensure_password(folder: Path = FOLDER) -> str:
    """Return the password of a folder's servers, generated if there is none yet.

    Raises:
        ServingError: if it is too short, has characters not allowed in a URL, or may have been read or written by
            other users.
    """
    password = read_password(folder)
    if not password:
        private_folder(folder)
        password = secrets.token_urlsafe(18)
        with os.fdopen(os.open(folder / _PASSWORD_FILE, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(password)
    return password


def read_password(folder: Path = FOLDER) -> str:
    """Return the password of a folder's servers, or "" if there is none; raises the errors of `ensure_password`."""
    given = os.environ.get("NOISETTE_PASSWORD", "")
    if given:
        if len(given) < 12 or any(letter in given for letter in ":%\n"):  # MLflow requires 12
            raise ServingError("NOISETTE_PASSWORD: expected 12 characters and more, without : and %")
        return given
    path = folder / _PASSWORD_FILE
    try:
        found = path.lstat()
    except FileNotFoundError:
        return ""
    if not stat.S_ISREG(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
        raise ServingError(
            f"{path}: expected a file that only you can read and write; others may know this password: "
            "`noisette down`, remove the file, and `noisette up` makes another"
        )
    return path.read_text(encoding="utf-8").strip()


def connect(folder: Path = FOLDER) -> None:
    """Configure Prefect to use the server of this folder, unless another is configured.

    Call it before importing Prefect.
    Raises:
        ServingError: if its password cannot be used.
    """
    running = running_prefect(folder)
    if running is None:
        return
    url = f"{running.url}/api"
    if os.environ.setdefault("PREFECT_API_URL", url).replace("//localhost:", "//127.0.0.1:").rstrip("/") != url:
        return
    password = read_password(folder)
    if password:
        os.environ.setdefault("PREFECT_API_AUTH_STRING", f"{USER}:{password}")


def running_prefect(folder: Path = FOLDER) -> RunningServer | None:
    """Return the running Prefect server of this folder, or None."""
    return BackgroundServer("prefect", folder).running


def mlflow_url_of(store: str, folder: Path = FOLDER) -> str:
    """Return the URL of this folder's MLflow server if it serves `store`; otherwise ""."""
    running = BackgroundServer("mlflow", folder).running
    return running.url if running is not None and running.store == store else ""
