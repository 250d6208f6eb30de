"""docs/deploy.md: all its commands are run in order, in one shell, with real servers."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import yaml
from support.environment import REPOSITORY
from support.guide import blocks
from support.tiny import TINY
from support.workspace import Workspace, make_workspace, with_databases

from noisette.checkpoint import find_latest_checkpoint

pytestmark = pytest.mark.slow

PAGE = (REPOSITORY / "docs" / "deploy.md").read_text(encoding="utf-8")


def free_ports(count: int) -> list[int]:
    probes = [socket.socket() for _ in range(count)]
    for probe in probes:
        probe.bind(("127.0.0.1", 0))
    ports = [int(probe.getsockname()[1]) for probe in probes]
    for probe in probes:
        probe.close()
    return ports


def iter_trainings(runs: Path) -> Iterator[tuple[int, int]]:
    """Yield the requested steps and the last checkpoint's step of each training."""
    for run in runs.glob("digits-*"):
        checkpoint = find_latest_checkpoint(run)
        if checkpoint is not None:
            yield checkpoint.described().model_dump()["experiment"]["training"]["steps"], checkpoint.step


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    """A folder with prefect.yaml and a quick config "digits"."""
    workspace = with_databases(make_workspace(tmp_path))
    (tmp_path / "configs").mkdir()
    quick = {**TINY, "name": "digits", "preparation": {"limit": 64}}
    (tmp_path / "configs" / "digits.yaml").write_text(yaml.safe_dump(quick))
    (tmp_path / "prefect.yaml").write_text((REPOSITORY / "prefect.yaml").read_text())
    yield workspace
    workspace.noisette("down")


def test_its_commands_run(workspace: Workspace) -> None:
    prefect, mlflow = map(str, free_ports(2))
    commands = [block.text for block in blocks(PAGE) if block.language == "sh"]
    assert len(commands) == 10
    script = "\n".join(f"echo '== {number}'\n{text}" for number, text in enumerate(commands))
    script = script.replace("noisette up\n", f"noisette up --prefect-port {prefect} --mlflow-port {mlflow}\n")
    script = script.replace(":4200", f":{prefect}")
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    shell = subprocess.Popen(
        ["bash", "-eu", "-o", "pipefail", "-c", script],
        cwd=workspace.folder,
        env={**workspace.environment, "PATH": path},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        output, _ = shell.communicate(timeout=900)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(shell.pid, signal.SIGKILL)
    assert shell.returncode == 0, f"{output}"
    parts = re.split(r"^== \d+$", output, flags=re.M)[1:]
    assert f"http://127.0.0.1:{prefect}" in parts[1]
    successes = [part.count("finished successfully") for part in parts]
    assert successes == [0, 0, 0, 1, 3, 0, 0, 1, 1, 0], output
    assert "Created work pool" in parts[6]
    assert "prefect: stopped" in parts[-1]
    assert "mlflow: stopped" in parts[-1]
    steps = dict(iter_trainings(workspace.folder / "runs"))
    assert {requested for requested, step in steps.items() if requested == step} == {300, 400, 500, 600}
    assert 500 <= steps[100_000] < 100_000  # it resumed from 500, and may have been cancelled before a step


def test_its_images_and_deployments_exist() -> None:
    for name in re.findall(r"!\[[^\]]+\]\((images/[^)]+)\)", PAGE):
        assert (REPOSITORY / "docs" / name).stat().st_size < 150_000
    deployments = yaml.safe_load((REPOSITORY / "prefect.yaml").read_text())["deployments"]
    assert {entry["name"] for entry in deployments} == {"pool", "nightly"}
