"""A worker's flow run, out of the worker's reach: `python -m noisette_flows.deploying.worker_entry`.

A Prefect worker that is told to end kills the processes that it started at once, and leaves their flow runs in the
state "Running". So prefect.yaml has it start this process, and the flow run is the child of this one:

    worker ── this process ── prefect.engine

This process hands signals on, a cancellation among them, and tells the child to stop when the worker is gone. The
child notices the end of this process too (`noisette_flows.liveness`). What the child says goes into a file that
this process reads, and not into the worker's pipe: a pipe that nobody reads any more would end a training.
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

_EVERY = 0.5  # seconds between two looks at the worker


def main() -> int:
    """Run the flow run that the environment names; return its exit code, as a shell gives it."""
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
        for number in list(pending):  # came before there was a child
            engine.send_signal(number)
        code = _supervise(engine, worker, output_file.fileno())
    return code if code >= 0 else 128 - code


def _start_engine(output: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "prefect.engine"],
        env={**os.environ, PARENT: str(os.getpid()), "PYTHONUNBUFFERED": "1"},
        stdout=output,
        stderr=output,
        start_new_session=True,  # Ctrl-C is the worker's
    )


def _supervise(engine: subprocess.Popen[bytes], worker: int, output: int) -> int:
    """Tell on what the child says, and stop it when the worker is gone; return its exit code."""
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
    """Write what is new in a file to standard output; return how far that is. What nobody reads is dropped."""
    while text := os.pread(output, 1 << 16, position):
        try:
            position += os.write(sys.stdout.fileno(), text)
        except OSError:
            position += len(text)
    return position


if __name__ == "__main__":
    sys.exit(main())
