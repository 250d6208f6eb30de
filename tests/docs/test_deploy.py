"""docs/deploy.md: every command of it is run, in order, in one shell, against real servers."""

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
from support.workspace import Workspace, make_workspace, with_migrated_database

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


def trainings(runs: Path) -> Iterator[tuple[int, int]]:
    """Yield, of each training, how many steps it was to make, and that of its last checkpoint."""
    for run in runs.glob("digits-*"):
        checkpoint = find_latest_checkpoint(run)
        if checkpoint is not None:
            yield checkpoint.described().model_dump()["experiment"]["training"]["steps"], checkpoint.step


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    """A folder with prefect.yaml and a config "digits" that is quick."""
    there = with_migrated_database(make_workspace(tmp_path))
    (tmp_path / "configs").mkdir()
    quick = {**TINY, "name": "digits", "preparation": {"limit": 64}}
    (tmp_path / "configs" / "digits.yaml").write_text(yaml.safe_dump(quick))
    (tmp_path / "prefect.yaml").write_text((REPOSITORY / "prefect.yaml").read_text())
    yield there
    there.noisette("down")


def test_its_commands_lead_from_a_laptop_to_a_work_pool(workspace: Workspace) -> None:
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
        said, _ = shell.communicate(timeout=900)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(shell.pid, signal.SIGKILL)
    assert shell.returncode == 0, f"{said}"
    parts = re.split(r"^== \d+$", said, flags=re.M)[1:]
    assert f"http://127.0.0.1:{prefect}" in parts[1]
    successes = [part.count("finished successfully") for part in parts]
    assert successes == [0, 0, 0, 1, 3, 0, 0, 1, 1, 0], said
    assert "Created work pool" in parts[6]
    assert "prefect: stopped" in parts[-1]
    assert "mlflow: stopped" in parts[-1]
    ended = dict(trainings(workspace.folder / "runs"))
    assert {asked for asked, step in ended.items() if asked == step} == {300, 400, 500, 600}
    assert 500 <= ended[100_000] < 100_000  # it went on behind 500, and may have been cancelled before a step


def test_what_it_shows_and_names_is_there() -> None:
    for name in re.findall(r"!\[[^\]]+\]\((images/[^)]+)\)", PAGE):
        assert (REPOSITORY / "docs" / name).stat().st_size < 150_000
    deployments = yaml.safe_load((REPOSITORY / "prefect.yaml").read_text())["deployments"]
    assert {entry["name"] for entry in deployments} == {"pool", "nightly"}
