"""Prefect's embedded server, started so that Ctrl-C ends the run and not the server.

A terminal sends SIGINT to every process of the command. A server that ends with it leaves the flow calling for
minutes, and its run in the state "Running" for ever. So the server starts from a thread in which SIGINT is blocked,
and inherits that. It must not outlive the command either, however that ends: a process beside it waits for the end
of a pipe that the command holds open, and the kernel closes.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from noisette import NoisetteError

__all__ = ["ServerError", "starting_server"]


class ServerError(NoisetteError):
    """Prefect's server that does not start, or does not answer."""


@contextmanager
def starting_server() -> Iterator[None]:
    """Start the embedded server, unless Prefect is set up to use another, while the block does something else.

    Raises:
        ServerError: at the end of the block, if there is no server to run a flow with.
    """
    import prefect.server.api.server  # noqa: F401  # here: two threads that import are slow, and may clash

    failures: list[Exception] = []
    thread = threading.Thread(target=_start, args=(failures,), name="prefect-server", daemon=True)
    thread.start()
    yield
    thread.join()
    if failures:
        raise ServerError(_advice(failures[0]))


def _start(failures: list[Exception]) -> None:
    from prefect.client.orchestration import get_client

    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    _watch_embedded()
    try:
        failure = get_client(sync_client=True).api_healthcheck()
    except Exception as error:
        failure = error
    if failure is not None:
        failures.append(failure)


_WATCH = """
import os, signal, sys, time
server = os.pidfd_open(int(sys.argv[1]))
sys.stdin.buffer.read()
try:
    signal.pidfd_send_signal(server, signal.SIGTERM)
    time.sleep(5)
    signal.pidfd_send_signal(server, signal.SIGKILL)
except ProcessLookupError:
    pass
"""


def _watch_embedded() -> None:
    """Have the embedded server, once it is started, end with this process."""
    from prefect.server.api.server import SubprocessASGIServer

    if not hasattr(os, "pidfd_open"):  # not Linux
        return
    server = SubprocessASGIServer()
    start = server._run_uvicorn_command

    def watched() -> subprocess.Popen[Any]:
        process = start()
        watcher = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", _WATCH, str(process.pid)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        _WATCHERS.append(watcher)  # whose pipe stays open as long as this process lives
        return process

    server._run_uvicorn_command = watched  # type: ignore[method-assign]


_WATCHERS: list[subprocess.Popen[bytes]] = []


def _advice(error: Exception) -> str:
    from prefect.settings import PREFECT_API_URL

    url, reason = PREFECT_API_URL.value(), (str(error) or type(error).__name__).splitlines()[0]
    if url:
        return f"Prefect's server at {url} does not answer ({reason}); start it, or unset PREFECT_API_URL"
    return f"Prefect's embedded server does not start ({reason}); see `prefect server start`"
