"""The keeper of the embedded server: neither outlives the other, and a server that is killed is started again."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest
from support.prefect_server import is_alive, wait_until

from noisette_flows import keeper

SERVER = [sys.executable, "-c", "import os, time; print(os.getpid(), flush=True); time.sleep(600)"]
CARELESS = "import subprocess, sys; subprocess.Popen(sys.argv[1:]).wait()"

Started = tuple[subprocess.Popen[str], int]


def kept(*options: str, server: list[str] = SERVER) -> Started:
    """Start a keeper, or another parent, with a server; return it with the server's process id."""
    command = [sys.executable, *(options or ("-I", "-S", str(keeper.__file__))), *server]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    return process, pid_of(process)


def pid_of(process: subprocess.Popen[str]) -> int:
    assert process.stdout is not None
    return int(process.stdout.readline())


@pytest.fixture
def started() -> Iterator[Started]:
    process, server = kept()
    yield process, server
    process.kill()
    process.communicate()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends a process with its parent")
def test_a_server_does_not_outlive_its_keeper(started: Started) -> None:
    process, server = started
    process.kill()
    wait_until(lambda: not is_alive(server), "the server has ended")
    control, orphan = kept("-c", CARELESS)
    control.kill()
    control.wait()
    assert is_alive(orphan)
    os.kill(orphan, signal.SIGKILL)
    control.communicate()


def test_a_server_ends_with_the_pipe_even_if_it_hangs(started: Started) -> None:
    process, server = started
    os.kill(server, signal.SIGSTOP)
    process.communicate()
    assert process.returncode == 0
    assert not is_alive(server)


def test_a_server_that_is_killed_is_started_again(started: Started) -> None:
    process, server = started
    os.kill(server, signal.SIGKILL)
    assert pid_of(process) != server


def test_a_server_that_does_not_start_is_given_up() -> None:
    process, _ = kept(server=[sys.executable, "-c", "import os, sys; print(os.getpid(), flush=True); sys.exit(3)"])
    assert process.wait(120) == 1
    process.communicate()
