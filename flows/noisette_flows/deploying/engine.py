"""A worker's flow run, out of the worker's reach: `python -m noisette_flows.deploying.engine`.

A Prefect worker that is told to end kills the processes that it started at once, and leaves their flow runs in the
state "Running". So prefect.yaml has it start this process, and the flow run is the child of this one:

    worker ── this process ── prefect.engine

The child notices the end of its parent, and stops with a checkpoint (`noisette_flows.liveness`). Until then signals
are handed on to it: a cancellation is one.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from types import FrameType

from noisette_flows.liveness import PARENT

__all__ = ["main"]


def main() -> int:
    """Run the flow run that the environment names; return its exit code, as a shell gives it."""
    asked: list[int] = []
    engine: subprocess.Popen[bytes] | None = None

    def hand_on(number: int, frame: FrameType | None) -> None:
        asked.append(number)
        if engine is not None:
            engine.send_signal(number)

    signal.signal(signal.SIGTERM, hand_on)
    engine = subprocess.Popen(
        [sys.executable, "-m", "prefect.engine"],
        env={**os.environ, PARENT: str(os.getpid())},
        start_new_session=True,  # Ctrl-C is the worker's
    )
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for number in list(asked):  # came before there was a child
        engine.send_signal(number)
    code = engine.wait()
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    sys.exit(main())
