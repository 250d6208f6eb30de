"""Real servers on 127.0.0.1 for tests: MLflow's on SQLite or PostgreSQL."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

__all__ = ["Server", "free_port", "mlflow_server", "postgresql", "run_server"]

MLFLOW = Path(sys.executable).with_name("mlflow")
_PATIENCE = 180.0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Server:
    """A server that can be killed and started again.

    Attributes:
        command: what starts it.
        port: where it listens.
        folder: it works there, and writes `server.log`.
        environment: what is added to ours.
        alive: the path that answers 200 when it is ready.
    """

    command: list[str]
    port: int
    folder: Path
    environment: dict[str, str] = field(default_factory=dict)
    alive: str = "/health"
    process: subprocess.Popen[bytes] | None = None

    @property
    def uri(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it and wait until it answers."""
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("MLFLOW_", "PREFECT_"))}
        home = {"HOME": str(self.folder), "MLFLOW_DISABLE_TELEMETRY": "true"}
        home["MLFLOW_SERVER_ENABLE_JOB_EXECUTION"] = "false"  # eight processes that nothing here uses
        with (self.folder / "server.log").open("ab") as log:
            self.process = subprocess.Popen(
                self.command,
                cwd=self.folder,
                env={**kept, **home, **self.environment},
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        deadline = time.monotonic() + _PATIENCE
        while not self._answers():
            assert self.process.poll() is None, self.log
            assert time.monotonic() < deadline, self.log
            time.sleep(0.2)

    @property
    def log(self) -> str:
        return (self.folder / "server.log").read_text(errors="replace")

    def send(self, number: int) -> None:
        """Send a signal to it and its workers."""
        if self.process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, number)

    def kill(self) -> None:
        """Kill it with its workers, whom it leads."""
        self.send(signal.SIGKILL)
        if self.process is not None:
            self.process.wait()
            self.process = None

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.uri}{self.alive}", timeout=5) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False


@contextmanager
def run_server(server: Server) -> Iterator[Server]:
    server.folder.mkdir(parents=True, exist_ok=True)
    try:
        server.start()
        yield server
    finally:
        server.kill()


@contextmanager
def mlflow_server(folder: Path, backend: str | None = None) -> Iterator[Server]:
    """Run `mlflow server` with an artifact store, on SQLite or the given database."""
    port = free_port()
    command = [str(MLFLOW), "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    command += ["--backend-store-uri", backend or f"sqlite:///{folder}/server.db"]
    command += ["--artifacts-destination", str(folder / "artifacts")]
    with run_server(Server(command, port, folder)) as server:
        yield server


def _tools() -> Path | None:
    """Return where Debian keeps PostgreSQL's programs."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    if found:
        return found[-1].parent
    initdb = shutil.which("initdb")
    return Path(initdb).parent if initdb else None


def missing_postgresql() -> str:
    """Return why there is no PostgreSQL to try; empty if there is."""
    if _tools() is None:
        return "PostgreSQL is not installed (Debian: apt-get install postgresql)"
    try:
        import psycopg  # noqa: F401
    except ImportError:
        return "psycopg is not installed (pip install 'psycopg[binary]')"
    if os.geteuid() == 0 and not _stranger():
        return "PostgreSQL does not run as root, and there is no user postgres"
    return ""


def _stranger() -> tuple[int, int] | None:
    try:
        user = pwd.getpwnam("postgres")
    except KeyError:
        return None
    return user.pw_uid, user.pw_gid


@contextmanager
def postgresql(folder: Path, user: str, password: str) -> Iterator[str]:
    """Run a PostgreSQL of its own that asks for a password; give the URI of its empty database."""
    tools, port, owner = _tools(), free_port(), _stranger() if os.geteuid() == 0 else None
    assert tools is not None
    folder.mkdir(parents=True)
    (folder / "password").write_text(password)
    if owner:
        for path in (folder, folder / "password"):
            os.chown(path, *owner)
        for parent in folder.parents:  # pytest's folders are its user's own
            if parent != Path("/tmp") and parent.owner() == "root" and len(parent.parts) > 2:
                parent.chmod(parent.stat().st_mode | 0o011)
    who = {"user": owner[0], "group": owner[1], "extra_groups": []} if owner else {}
    data = folder / "data"
    initdb = [tools / "initdb", "-D", data, "-U", user, "-A", "scram-sha-256", "--pwfile", folder / "password"]
    subprocess.run([*initdb, "--no-sync", "-E", "UTF8"], check=True, capture_output=True, cwd=folder, **who)  # type: ignore[call-overload]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(  # type: ignore[call-overload]
            [tools / "postgres", "-D", data, "-p", str(port), "-h", "127.0.0.1", "-k", "", "-F"],
            cwd=folder,
            stdout=log,
            stderr=log,
            start_new_session=True,
            **who,
        )
    try:
        _wait_for_logins(port, user, password, folder / "log")
        yield f"postgresql+psycopg://{user}:{password}@127.0.0.1:{port}/postgres"
    finally:
        process.send_signal(signal.SIGINT)
        process.wait()


def _wait_for_logins(port: int, user: str, password: str, log: Path) -> None:
    import psycopg

    deadline = time.monotonic() + _PATIENCE
    while True:
        try:
            psycopg.connect(host="127.0.0.1", port=port, user=user, password=password, dbname="postgres").close()
            return
        except psycopg.OperationalError:
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.2)
