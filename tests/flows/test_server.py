"""Prefect's embedded server lives as long as the command, and no longer."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from support.processes import descendants, wait_until
from support.workshop import Workshop

pytestmark = pytest.mark.slow


@pytest.fixture
def long(workshop: Workshop) -> tuple[str, ...]:
    """A command that trains for long, in a workshop with pictures."""
    assert workshop.noisette("prepare", "tiny.yaml").returncode == 0
    return ("train", "tiny.yaml", "--set", "training.steps=100000", "--tracking-uri", "off")


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="finds the processes in Linux's /proc")
def test_a_killed_command_leaves_no_server(workshop: Workshop, long: tuple[str, ...]) -> None:
    process = workshop.start(*long)
    try:
        wait_until(lambda: any((workshop.folder / "runs").glob("tiny-*/metrics.jsonl")), "it does not train")
        servers = descendants(process.pid)
        commands = [Path(f"/proc/{pid}/cmdline").read_bytes() for pid in servers]
        assert any(b"uvicorn" in command for command in commands)
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
    wait_until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in servers), "its server lives on")


def test_a_server_that_is_not_there_is_named(workshop: Workshop, long: tuple[str, ...]) -> None:
    done = workshop.noisette(*long, PREFECT_API_URL="http://127.0.0.1:9/api")
    assert done.returncode == 2
    assert "Prefect's server at http://127.0.0.1:9/api does not answer" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_server_that_does_not_start_says_why(workshop: Workshop, long: tuple[str, ...]) -> None:
    nowhere = f"sqlite+aiosqlite:///{workshop.folder}/nowhere/prefect.db"
    done = workshop.noisette(*long, PREFECT_API_DATABASE_CONNECTION_URL=nowhere)
    assert done.returncode == 2
    assert "Prefect's embedded server does not start" in done.stderr
    assert "Traceback" not in done.stderr
