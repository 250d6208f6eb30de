"""The keeper of Prefect's embedded server: a process between a command and the server, run by its path.

It starts the server, restarts it if a signal ended it, and ends it when the pipe on standard input is closed. The
kernel closes the pipe when the command ends, for any reason. On Linux the server also ends with the keeper.
"""

from __future__ import annotations

import ctypes
import os
import select
import signal
import subprocess
import sys
from collections.abc import Callable

__all__ = ["main"]

_STARTS = 5  # of a server that is killed repeatedly, for example for lack of memory
_PAUSE = 0.2  # seconds between two checks of the server
_GRACE = 5.0  # seconds that the server has to exit
_PR_SET_PDEATHSIG = 1


def main() -> int:
    """Run the server with the command in the arguments; return 1 if it exited without a signal."""
    for _ in range(_STARTS):
        server = subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL, preexec_fn=_exit_with_parent(os.getpid()))
        while server.poll() is None:
            if select.select([sys.stdin], [], [], _PAUSE)[0]:
                _end(server)
                return 0
        if server.returncode >= 0:
            break
    return 1


def _exit_with_parent(keeper: int) -> Callable[[], None]:
    """Return a function that makes the kernel kill the calling process when the keeper ends."""
    libc = ctypes.CDLL(None) if sys.platform == "linux" else None

    def set_death_signal() -> None:
        if libc is not None:
            libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
            if os.getppid() != keeper:  # it had already ended
                os._exit(1)

    return set_death_signal


def _end(server: subprocess.Popen[bytes]) -> None:
    server.terminate()
    try:
        server.wait(_GRACE)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()


if __name__ == "__main__":
    sys.exit(main())
