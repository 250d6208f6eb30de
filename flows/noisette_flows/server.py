"""Prefect's embedded server, started so that Ctrl-C ends the run and not the server.

A terminal sends SIGINT to every process of the command. A server that ends with it leaves the flow calling for
minutes, and its run in the state "Running" for ever. So the server starts from a thread in which SIGINT is blocked,
and inherits that.
"""

from __future__ import annotations

import signal
import threading
from contextlib import suppress

__all__ = ["start_server"]


def start_server() -> threading.Thread:
    """Start the embedded server, unless Prefect is set up to use another; join the thread before a flow starts."""
    import prefect.server.api.server  # noqa: F401  # imported here: two threads that import are slow and may clash
    from prefect.client.orchestration import get_client

    def work() -> None:
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        with suppress(Exception):  # the flow meets the same obstacle, and raises it
            get_client(sync_client=True)

    thread = threading.Thread(target=work, name="prefect-server", daemon=True)
    thread.start()
    return thread
