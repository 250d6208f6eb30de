"""A working directory in which the `noisette` command is run as a person would."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import yaml
from support.databases import copy_mlflow_database, copy_prefect_database
from support.forked import can_fork, run_forked
from support.packages import install
from support.tiny import TINY

__all__ = ["FinishedRun", "Workspace", "make_workspace", "patient", "with_databases"]

COMMAND = Path(sys.executable).with_name("noisette")

_PROMPT = {"PREFECT_RUNNER_POLL_FREQUENCY": "1", "PREFECT_WORKER_QUERY_SECONDS": "1"}
"""Seconds between two looks for flow runs that are asked for; ten by default."""


_PATIENT = """
import time
from noisette import hookimpl

@hookimpl
def on_step(run):
    time.sleep(0.02 if run.stage == "train" else 0)
"""


@dataclass(frozen=True)
class Workspace:
    """A working directory with a tiny config, and Prefect's home beside it.

    Attributes:
        folder: the directory.
        settings: what is added to the environment of its commands.
    """

    folder: Path
    settings: dict[str, str] = field(default_factory=dict, hash=False)

    @property
    def environment(self) -> dict[str, str]:
        ours = ("PREFECT_", "MLFLOW_", "PYTHONSAFEPATH")  # which flows in this process may have set
        kept = {key: value for key, value in os.environ.items() if not key.startswith(ours)}
        home = {"HOME": str(self.folder / "home"), "PREFECT_HOME": str(self.folder / "prefect")}
        return {**kept, **home, **_PROMPT, "OMP_NUM_THREADS": "1", "COLUMNS": "100", **self.settings}

    @property
    def command(self) -> Path:
        return COMMAND

    @property
    def runs(self) -> list[Path]:
        """Run directories, without that of the data."""
        return sorted(path for path in (self.folder / "runs").iterdir() if path.name.startswith("tiny-"))

    def noisette(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        command, settings = [COMMAND, *arguments], {**self.environment, **environment}
        if can_fork(settings):
            return subprocess.CompletedProcess(command, *run_forked(list(arguments), self.folder, settings))
        return subprocess.run(
            command,
            cwd=self.folder,
            env=settings,
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )

    def start(self, *arguments: str, **environment: str) -> subprocess.Popen[str]:
        """Start the command in a process group of its own, as a shell does."""
        return subprocess.Popen(
            [COMMAND, *arguments],
            cwd=self.folder,
            env={**self.environment, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )


def make_workspace(folder: Path, settings: dict[str, str] | None = None) -> Workspace:
    (folder / "home").mkdir()
    (folder / "tiny.yaml").write_text(yaml.safe_dump({**TINY, "preparation": {"limit": 64}}))
    return Workspace(folder, {**(settings or {})})


def with_databases(workspace: Workspace, *, mlflow: bool = True) -> Workspace:
    """Put empty databases of Prefect and MLflow into a workspace, which take longer to make than to fill."""
    copy_prefect_database(workspace.folder / "prefect")
    if mlflow:
        copy_mlflow_database(workspace.folder / "mlflow.db")
    return workspace


def patient(workspace: Workspace) -> Workspace:
    """Have long trainings leave the processor to those who wait for what becomes of them."""
    (workspace.folder / "patient").mkdir()
    install(workspace.folder / "patient", "noisette-patient", _PATIENT)
    workspace.settings["PYTHONPATH"] = str(workspace.folder / "patient")
    return workspace


@dataclass(frozen=True)
class FinishedRun:
    """A workshop in which `noisette run tiny.yaml` has gone through once."""

    workspace: Workspace
    first: subprocess.CompletedProcess[str]

    @property
    def run(self) -> Path:
        return self.workspace.runs[0]
