"""Real servers and a real `noisette serve` in a folder, and questions to Prefect's API."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import yaml
from support.tiny import TINY
from support.workshop import Workshop, workshop_in

__all__ = ["PATIENCE", "Site", "alive", "free_ports", "serving", "until"]

PATIENCE = 180.0  # seconds; the machine may be busy

T = TypeVar("T")


def free_ports(count: int) -> list[int]:
    probes = [socket.socket() for _ in range(count)]
    for probe in probes:
        probe.bind(("127.0.0.1", 0))
    ports = [int(probe.getsockname()[1]) for probe in probes]
    for probe in probes:
        probe.close()
    return ports


def until(ask: Callable[[], T], what: str, patience: float = PATIENCE) -> T:
    """Ask until the answer is true; return it."""
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        answer = ask()
        if answer:
            return answer
        time.sleep(0.1)
    raise AssertionError(f"not within {patience:.0f} seconds: {what}")


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


@dataclass
class Site:
    """A folder with servers that are up, and the process that serves flows, if there is one."""

    workshop: Workshop
    url: str
    server: int
    process: subprocess.Popen[str] | None = None

    @property
    def runs(self) -> Path:
        return self.workshop.folder / "runs"

    def ask(self, path: str, body: Any = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, {"content-type": "application/json"})
        with suppress(urllib.error.URLError), urllib.request.urlopen(request, timeout=30) as answer:
            return json.load(answer)
        return None

    def serve(self, *arguments: str) -> None:
        log = self.workshop.folder / "serve.log"
        with log.open("w") as written:
            self.process = subprocess.Popen(
                [self.workshop.command, "serve", *arguments],
                cwd=self.workshop.folder,
                env=self.workshop.environment,
                stdout=written,
                stderr=subprocess.STDOUT,
                text=True,
                start_new_session=True,
            )
        process = self.process
        until(lambda: process.poll() is not None or "\nserving " in f"\n{log.read_text()}", "it serves")
        assert process.poll() is None, log.read_text()

    def end(self, number: signal.Signals) -> None:
        """End the process that serves."""
        assert self.process is not None
        self.process.send_signal(number)
        self.process.wait(PATIENCE)
        self.process = None

    def start(self, **parameters: Any) -> str:
        """Start train-and-eval; return the id of its flow run."""
        deployment = self.ask("/api/deployments/name/train-and-eval/local")["id"]
        return str(self.ask(f"/api/deployments/{deployment}/create_flow_run", {"parameters": parameters})["id"])

    def state(self, run: str) -> str:
        told = self.ask(f"/api/flow_runs/{run}")
        return "" if told is None or told["state"] is None else str(told["state"]["type"])

    def reaches(self, run: str, *states: str) -> str:
        return until(lambda: (state := self.state(run)) in states and state, f"{run} is {' or '.join(states)}")

    def trains(self, run: str, beyond: int = 0) -> Path:
        """Wait until a flow run trains; return its run directory."""

        def lines() -> Path | None:
            for locked in self.runs.glob(f"*/.flow-{run}"):
                journal = locked.parent / "metrics.jsonl"
                if journal.exists() and len(journal.read_text().splitlines()) > beyond:
                    return locked.parent
            return None

        return until(lines, f"{run} trains")

    def engines(self) -> list[int]:
        """Processes of flow runs in this folder."""
        found = []
        for entry in Path("/proc").iterdir():
            with suppress(OSError, ValueError):
                if entry.joinpath("cwd").readlink() != self.workshop.folder or not alive(int(entry.name)):
                    continue
                if b"prefect.engine" in entry.joinpath("cmdline").read_bytes():
                    found.append(int(entry.name))
        return found

    def artifacts(self, run: str) -> dict[str, dict[str, Any]]:
        asked = {"artifacts": {"flow_run_id": {"any_": [run]}}}
        return {artifact["key"]: artifact for artifact in self.ask("/api/artifacts/filter", asked)}


@contextmanager
def serving(folder: Path) -> Iterator[Site]:
    """Give a folder with a tiny config, servers, and flows that are served."""
    workshop = workshop_in(folder)
    (folder / "configs").mkdir()
    config = {**TINY, "preparation": {"limit": 64}}
    config["training"] = {**TINY["training"], "save_every": 100_000}
    (folder / "configs" / "tiny.yaml").write_text(yaml.safe_dump(config))
    prefect, mlflow = map(str, free_ports(2))
    up = workshop.noisette("up", "--prefect-port", prefect, "--mlflow-port", mlflow, "--json")
    assert up.returncode == 0, up.stderr
    standing = json.loads(up.stdout)
    site = Site(workshop, standing[0]["url"], standing[0]["pid"])
    try:
        site.serve()
        yield site
    finally:
        if site.process is not None and site.process.poll() is None:
            site.process.kill()
        for pid in site.engines():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        workshop.noisette("down")
