"""Real servers and a real `noisette serve` in a folder, and questions to Prefect's API."""

from __future__ import annotations

import base64
import json
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar
from uuid import uuid4

import yaml
from support.databases import copy_prefect_database
from support.environment import REPOSITORY
from support.servers import Server, free_port, run_server
from support.tiny import TINY
from support.workspace import Workspace, make_workspace, patient, with_databases

__all__ = [
    "CANCEL",
    "PATIENCE",
    "RETRY",
    "SUSPEND",
    "Site",
    "free_ports",
    "is_alive",
    "prefect_server",
    "start_servers",
    "start_worker_pool",
    "wait_until",
]

PATIENCE = 180.0  # seconds; the machine may be busy

_OURS = (b"prefect.engine", b"noisette_flows.", b"noisette.training.", b"torch.distributed.run")

CANCEL = {"state": {"type": "CANCELLING", "name": "Cancelling"}}
SUSPEND = {"state": {"type": "PAUSED", "name": "Suspended", "state_details": {"pause_reschedule": True}}}
RETRY = {"state": {"type": "SCHEDULED", "name": "AwaitingRetry"}, "force": True}
"""What Prefect's page asks for when one presses Cancel, Suspend, or Retry."""

T = TypeVar("T")


def free_ports(count: int) -> list[int]:
    probes = [socket.socket() for _ in range(count)]
    for probe in probes:
        probe.bind(("127.0.0.1", 0))
    ports = [int(probe.getsockname()[1]) for probe in probes]
    for probe in probes:
        probe.close()
    return ports


def wait_until(ask: Callable[[], T], what: str, patience: float = PATIENCE) -> T:
    """Ask until the answer is true; return it."""
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        answer = ask()
        if answer:
            return answer
        time.sleep(0.1)
    raise AssertionError(f"not within {patience:.0f} seconds: {what}")


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


@dataclass
class Site:
    """A folder with servers that are up, and the process that serves flows or works, if there is one."""

    workspace: Workspace
    url: str
    deployment: str = "local"
    process: subprocess.Popen[str] | None = None

    @property
    def runs(self) -> Path:
        return self.workspace.folder / "runs"

    @property
    def login(self) -> str:
        """User and password of `noisette up`; empty for a server without."""
        kept = self.workspace.folder / ".noisette" / "password"
        return f"noisette:{kept.read_text()}" if kept.exists() else ""

    def ask(self, path: str, body: Any = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        headers = {"content-type": "application/json"}
        if self.login:
            headers["authorization"] = f"Basic {base64.b64encode(self.login.encode()).decode()}"
        request = urllib.request.Request(self.url + path, data, headers)
        with suppress(OSError), urllib.request.urlopen(request, timeout=30) as answer:
            return json.loads(answer.read() or b"true")
        return None

    def serve(self, *arguments: str) -> None:
        self._begin([str(self.workspace.command), "serve", "--limit", "3", *arguments], "serving ")

    def work(self) -> None:
        """Start a worker of the pool."""
        self._begin(["prefect", "worker", "start", "--pool", "noisette"], "Worker ")

    def _begin(self, command: list[str], sign: str) -> None:
        """Start what runs flows; it is ready when a line of its log begins with the sign."""
        log = self.workspace.folder / "serve.log"
        with log.open("w") as written:
            self.process = subprocess.Popen(
                command,
                cwd=self.workspace.folder,
                env=self.workspace.environment,
                stdout=written,
                stderr=subprocess.STDOUT,
                text=True,
                start_new_session=True,
            )
        process = self.process
        wait_until(lambda: process.poll() is not None or f"\n{sign}" in f"\n{log.read_text()}", "it serves")
        assert process.poll() is None, log.read_text()

    def end(self, number: signal.Signals) -> None:
        """End the process that serves."""
        assert self.process is not None
        self.process.send_signal(number)
        self.process.wait(PATIENCE)
        self.process = None

    def start(self, job: dict[str, Any] | None = None, **parameters: Any) -> str:
        """Start train-and-eval; return the id of its flow run."""
        named = f"/api/deployments/name/train-and-eval/{self.deployment}"
        deployment = wait_until(lambda: self.ask(named), f"{named} is there")["id"]
        asked = {"parameters": parameters, "job_variables": job or {}, "idempotency_key": str(uuid4())}
        path = f"/api/deployments/{deployment}/create_flow_run"
        return str(wait_until(lambda: self.ask(path, asked), "a busy server takes the order")["id"])

    def create_foreign_run(self) -> str:
        """Create a flow run of a flow that is not noisette's; return its id."""
        flow = wait_until(lambda: self.ask("/api/flows/", {"name": "somebodys"}), "a flow is there")["id"]
        return str(wait_until(lambda: self.ask("/api/flow_runs/", {"flow_id": flow}), "a flow run is there")["id"])

    def send_heartbeat(self, run: str, *tags: str) -> None:
        """Send one sign of life of a flow run, as Prefect's engine does."""
        related = [{"prefect.resource.id": f"prefect.tag.{tag}", "prefect.resource.role": "tag"} for tag in tags]
        event = {
            "event": "prefect.flow-run.heartbeat",
            "occurred": datetime.now(UTC).isoformat(),
            "resource": {"prefect.resource.id": f"prefect.flow-run.{run}"},
            "related": related,
            "id": str(uuid4()),
        }
        self.ask("/api/events", [event])

    def set_state(self, run: str, state: dict[str, Any]) -> None:
        """Give a flow run a state; a busy server is asked again."""
        answer = wait_until(lambda: self.ask(f"/api/flow_runs/{run}/set_state", state), f"{run} gets another state")
        assert answer["status"] == "ACCEPT", answer

    def state(self, run: str) -> str:
        told = self.ask(f"/api/flow_runs/{run}")
        return "" if told is None or told["state"] is None else str(told["state"]["type"])

    def wait_for_state(self, run: str, *states: str) -> str:
        return wait_until(lambda: (state := self.state(run)) in states and state, f"{run} is {' or '.join(states)}")

    def wait_for_training(self, run: str, beyond: int = 0) -> Path:
        """Wait until a flow run trains; return its run directory."""

        def lines() -> Path | None:
            for locked in self.runs.glob(f"*/.flow-{run}"):
                journal = locked.parent / "metrics.jsonl"
                if journal.exists() and len(journal.read_text().splitlines()) > beyond:
                    return locked.parent
            assert self.state(run) != "FAILED", (self.workspace.folder / "serve.log").read_text()
            return None

        return wait_until(lines, f"{run} trains")

    def engines(self) -> list[int]:
        """Processes of flow runs in this folder."""
        return self.processes(b"prefect.engine")

    def processes(self, *words: bytes) -> list[int]:
        """Processes in this folder with one of some words in their command; by default all that flow runs start."""
        found = []
        for entry in Path("/proc").iterdir():
            with suppress(OSError, ValueError):
                if entry.joinpath("cwd").readlink() != self.workspace.folder or not is_alive(int(entry.name)):
                    continue
                if any(word in entry.joinpath("cmdline").read_bytes() for word in words or _OURS):
                    found.append(int(entry.name))
        return found

    def tracked(self) -> set[tuple[str, str]]:
        """Names and states of the runs in MLflow's store."""
        with closing(sqlite3.connect(self.workspace.folder / "mlflow.db")) as database:
            return set(database.execute("select name, status from runs").fetchall())

    def log(self, run: str) -> str:
        """What a flow run has said to Prefect."""
        lines = self.ask("/api/logs/filter", {"logs": {"flow_run_id": {"any_": [run]}}}) or []
        return "\n".join(line["message"] for line in lines)

    def artifacts(self, run: str) -> dict[str, dict[str, Any]]:
        asked = {"artifacts": {"flow_run_id": {"any_": [run]}}}
        return {artifact["key"]: artifact for artifact in self.ask("/api/artifacts/filter", asked)}


@contextmanager
def start_servers(folder: Path, *arguments: str, **settings: str) -> Iterator[Site]:
    """Give a folder with a tiny config, servers, and flows that are served with some arguments and environment."""
    workspace = _with_config(folder)
    workspace.settings.update(settings)
    prefect, mlflow = map(str, free_ports(2))
    up = workspace.noisette("up", "--prefect-port", prefect, "--mlflow-port", mlflow, "--json")
    assert up.returncode == 0, up.stderr
    site = Site(workspace, json.loads(up.stdout)[0]["url"])
    try:
        site.serve(*arguments)
        yield site
    finally:
        _clear(site)
        workspace.noisette("down")


@contextmanager
def prefect_server(folder: Path) -> Iterator[Server]:
    """Run Prefect's server as it comes, with its home in a folder."""
    port = free_port()
    command = [str(Path(sys.executable).with_name("prefect")), "server", "start", "--host", "127.0.0.1"]
    copy_prefect_database(folder / "prefect")
    home = {"PREFECT_HOME": str(folder / "prefect")}
    with run_server(Server([*command, "--port", str(port)], port, folder, home, "/api/health")) as server:
        yield server


@contextmanager
def start_worker_pool(folder: Path) -> Iterator[Site]:
    """Give a folder with a tiny config, Prefect's server alone, and prefect.yaml's pool without a worker."""
    workspace = _with_config(folder)
    shutil.copy(REPOSITORY / "prefect.yaml", folder)
    command = Path(sys.executable).with_name("prefect")
    with prefect_server(folder) as server:
        workspace.settings["PREFECT_API_URL"] = f"{server.uri}/api"
        workspace.settings["PWD"] = str(folder)  # which prefect.yaml names, and a shell would set
        workspace.settings["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        for words in ("work-pool create noisette --type process", "--no-prompt deploy --all"):
            subprocess.run(
                [command, *words.split()], cwd=folder, env=workspace.environment, check=True, capture_output=True
            )
        site = Site(workspace, server.uri, "pool")
        try:
            yield site
        finally:
            _clear(site)


def _with_config(folder: Path) -> Workspace:
    """Return a workshop whose trainings save when they are stopped, and at their end."""
    (folder / "configs").mkdir()
    config = {**TINY, "preparation": {"limit": 64}}
    config["training"] = {**TINY["training"], "checkpoint_every": 100_000}
    (folder / "configs" / "tiny.yaml").write_text(yaml.safe_dump(config))
    workspace = patient(with_databases(make_workspace(folder)))
    (folder / "tmp").mkdir()
    workspace.settings["TMPDIR"] = str(folder / "tmp")  # its flow runs share a GPU with one another alone
    return workspace


def _clear(site: Site) -> None:
    """End what runs flows, and the flow runs."""
    if site.process is not None and site.process.poll() is None:
        site.process.kill()
    for pid in site.processes():
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
