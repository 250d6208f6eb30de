"""A stage of the pipeline in a process of its own, to be killed.

The processes are forked from a server that has imported torch, so that one more costs a few milliseconds; what they
run is the engines as they are, and a kill is a kill.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

from noisette import NoisetteError

__all__ = ["Trial", "start_trial"]

_PRELOADED = [
    "pytest",
    "noisette.data.ingest",
    "noisette.evaluation.report_builder",
    "noisette.sampling.engine",
    "noisette.training.engine",
    "noisette_plugins.backbones.unet_network",
    "noisette_plugins.datasets",
    "torch._dynamo",
    "sklearn.linear_model",
]
_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(_PRELOADED)
_PATIENCE = 300.0


@dataclass
class Trial:
    """A process at work.

    Attributes:
        process: it.
        began: a file that appears when its stage begins to work.
        said: the file of its standard output and error.
    """

    process: Any
    began: Path
    output: Path

    @property
    def pid(self) -> int:
        return int(self.process.pid)

    @property
    def text(self) -> str:
        """What it said."""
        return self.output.read_text(errors="replace")

    def wait_until_working(self) -> float:
        """Wait for the beginning of its work; return when that was seen."""
        deadline = time.monotonic() + _PATIENCE
        while not self.began.exists() and self.process.is_alive():
            assert time.monotonic() < deadline, self.text
            time.sleep(0.001)
        return time.monotonic()

    def send(self, number: int, after: float = 0.0) -> None:
        """Send a signal so many seconds after its work began, if it is still there."""
        time.sleep(max(0.0, self.wait_until_working() + after - time.monotonic()))
        if self.process.is_alive():
            os.kill(self.pid, number)

    def end(self) -> int:
        """Wait for its end; return its exit code, or -9 if it was killed."""
        self.process.join(_PATIENCE)
        assert self.process.exitcode is not None, self.text
        return int(self.process.exitcode)


@contextmanager
def start_trial(folder: Path, job: Callable[..., None], *arguments: Any) -> Iterator[Trial]:
    """Start `job(began, *arguments)` in a process of its own; `folder` takes what it says."""
    folder.mkdir(parents=True, exist_ok=True)
    began, output = folder / "began", folder / "output"
    began.unlink(missing_ok=True)
    process = _CONTEXT.Process(target=_run, args=(job, output, began, *arguments))
    process.start()
    try:
        yield Trial(process, began, output)
    finally:
        process.kill()
        process.join()


def _run(job: Callable[..., None], output: Path, *arguments: Any) -> None:
    """Be the `noisette` command in small: one message for a known error, and its exit codes."""
    handle = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(handle, 1)
    os.dup2(handle, 2)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, _terminate)
    try:
        job(*arguments)
    except NoisetteError as error:
        print(error, file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)


def _terminate(number: int, frame: FrameType | None) -> NoReturn:
    sys.exit(128 + number)
