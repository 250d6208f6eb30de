"""Run the `noisette` command in forks of a process that has its libraries imported: starting one takes seconds.

Each command is a process of its own, with its own environment, folder and output, as from a shell. Prefect and
noisette themselves are imported in the fork, since they read the environment when they are imported.
"""

from __future__ import annotations

import atexit
import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from functools import cache
from pathlib import Path
from typing import Any, NoReturn

__all__ = ["can_fork", "run_forked"]

LIBRARIES = """
anyio asgi_lifespan coolname dateutil dill dotenv einops fsspec griffe h2 httpx humanize jsonschema mlflow numpy
opentelemetry.trace pathspec pendulum PIL.Image prometheus_client pydantic_settings rich safetensors sqlalchemy toml
torch typer websockets yaml
"""
_READ_AT_START = ("PYTHON", "OMP_", "MKL_", "LD_", "LC_", "LANG")
"""Beginnings of the names of variables that Python and torch read when they start."""

_SET_BY_FLOWS = "PYTHONSAFEPATH"


def can_fork(environment: dict[str, str]) -> bool:
    """Return whether the forks' process was started with these values of what is read at the start."""
    names = {name for name in {*environment, *os.environ} if name.startswith(_READ_AT_START)}
    return all(environment.get(name) == os.environ.get(name) for name in names - {_SET_BY_FLOWS})


def run_forked(arguments: list[str], folder: Path, environment: dict[str, str]) -> tuple[int, str, str]:
    """Run the command to its end; return its exit status, output and errors."""
    request = {"arguments": arguments, "folder": str(folder), "environment": environment}
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(600)
            client.connect(_address())
            socket.send_fds(client, [b"+"], [output.fileno(), errors.fileno()])
            client.sendall(json.dumps(request).encode() + b"\n")
            status = int(client.makefile().readline())
        output.seek(0)
        errors.seek(0)
        return status, output.read().decode(), errors.read().decode()


@cache
def _address() -> str:
    """Start the process; it ends with this one."""
    folder = tempfile.TemporaryDirectory(prefix="noisette-forks-")
    address = f"{folder.name}/socket"
    environment = {**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true"}
    environment.pop(_SET_BY_FLOWS, None)
    command = [sys.executable, __file__, address]
    server = subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    assert server.stdout.readline() == "ready\n"

    @atexit.register
    def end() -> None:
        server.kill()
        server.wait()
        folder.cleanup()

    return address


def _serve(address: str) -> None:
    for library in LIBRARIES.split():
        __import__(library)
    assert threading.active_count() == 1  # others would be missing in a fork
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(address)
        server.listen()
        print("ready", flush=True)
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for the supervisors
        while sys.stdin not in select.select([server, sys.stdin], [], [])[0]:  # until the tests end
            client, _ = server.accept()
            if os.fork() == 0:
                server.close()
                _supervise(client)
            client.close()


def _supervise(client: socket.socket) -> NoReturn:
    """Fork once more, and send the exit status of that process."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    _, (output, errors), _, _ = socket.recv_fds(client, 1, 2)
    request = json.loads(client.makefile().readline())
    child = os.fork()
    if child == 0:
        client.close()
        _run(request, output, errors)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    client.sendall(f"{status}\n".encode())
    os._exit(0)


def _run(request: dict[str, Any], output: int, errors: int) -> NoReturn:
    for source, target in ((os.open(os.devnull, os.O_RDONLY), 0), (output, 1), (errors, 2)):
        os.dup2(source, target)
        os.close(source)
    os.chdir(request["folder"])
    os.environ.clear()
    os.environ.update(request["environment"])
    sys.argv = [str(Path(sys.executable).with_name("noisette")), *request["arguments"]]
    sys.path[0] = str(Path(sys.argv[0]).parent)
    status: Any = 1
    try:
        from noisette_flows.cli import main

        main()
    except SystemExit as end:
        status = end.code
    finally:
        threading._shutdown()  # as Python does at its end, which a fork does not reach
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status or 0)


if __name__ == "__main__":
    _serve(sys.argv[1])
