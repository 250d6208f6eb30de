"""A worker's flow run in a separate process: `python -m noisette_flows.deploying.worker_entry`.

When a Prefect worker is stopped, it immediately kills the processes that it started, and leaves their flow runs in
the state "Running". prefect.yaml therefore starts this process, and the flow run is its child:

    worker ── this process ── prefect.engine

This process forwards signals, including cancellation, and stops the child when the worker is gone. The child also
notices the end of this process (`noisette_flows.liveness`). The child's output is written to a file that this
process reads, not to the worker's pipe: a pipe without a reader would end a training.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import suppress
from tempfile import TemporaryFile
from types import FrameType

from noisette_flows.liveness import PARENT

__all__ = ["main"]

_EVERY = 0.5  # seconds between two checks of the worker


def main() -> int:
    """Run the flow run named in the environment; return its exit code as a shell does."""
    worker, pending = os.getppid(), list[int]()
    engine: subprocess.Popen[bytes] | None = None

    def forward_signal(number: int, frame: FrameType | None) -> None:
        pending.append(number)
        if engine is not None:
            engine.send_signal(number)

    signal.signal(signal.SIGTERM, forward_signal)
    with TemporaryFile() as output_file:
        engine = _start_engine(output_file.fileno())
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        for number in list(pending):  # received before there was a child
            engine.send_signal(number)
        code = _supervise(engine, worker, output_file.fileno())
    return code if code >= 0 else 128 - code


def _start_engine(output: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "prefect.engine"],
        env={**os.environ, PARENT: str(os.getpid()), "PYTHONUNBUFFERED": "1"},
        stdout=output,
        stderr=output,
        start_new_session=True,  # Ctrl-C is for the worker
    )


def _supervise(engine: subprocess.Popen[bytes], worker: int, output: int) -> int:
    """Forward the child's output, and stop the child when the worker is gone; return its exit code."""
    position, orphan = 0, False
    while True:
        with suppress(subprocess.TimeoutExpired):
            engine.wait(_EVERY)
        position = _forward_output(output, position)
        if engine.returncode is not None:
            return engine.returncode
        if not orphan and os.getppid() != worker:
            orphan = True
            engine.terminate()


def _forward_output(output: int, position: int) -> int:
    """Copy new output to standard output and return the new position; output without a reader is dropped."""
    while text := os.pread(output, 1 << 16, position):
        try:
            position += os.write(sys.stdout.fileno(), text)
        except OSError:
            position += len(text)
    return position


if __name__ == "__main__":
    sys.exit(main())
