"""Training in several processes, started by torchrun, with their events passed on to who started them."""

from __future__ import annotations

import json
import logging
import os
import queue
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Thread
from typing import TYPE_CHECKING, Any

import torch

from noisette import errors
from noisette.checkpoint import Checkpoint
from noisette.errors import ConfigError, NoisetteError, Problem
from noisette.events import Events
from noisette.hooks import Run, Status, hookimpl
from noisette.machine import device_type
from noisette.storage import make_directory
from noisette.training.distributed import MEETING
from noisette.training.stop import Stop, graceful_stop

if TYPE_CHECKING:
    from noisette.config import Experiment

__all__ = ["LOG", "Channel", "Retold", "Teller", "launched"]


class Channel(logging.Handler):
    """Writes messages to a pipe, and the log with them. Where nobody reads any more, the process stops itself.

    Args:
        handle: the pipe.
    """

    def __init__(self, handle: int) -> None:
        super().__init__(logging.INFO)
        self._handle, self._is_open = handle, True

    def send(self, kind: str, content: Any) -> None:
        """Write one message."""
        line = json.dumps({"kind": kind, "content": content}, default=str).encode() + b"\n"
        try:
            while self._is_open and line:
                line = line[os.write(self._handle, line) :]
        except BrokenPipeError:
            self._is_open = False
            os.kill(os.getpid(), signal.SIGTERM)

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record of the log."""
        self.send("log", {"level": record.levelno, "name": record.name, "message": record.getMessage()})


class Teller:
    """A listener that writes events to a channel."""

    def __init__(self, channel: Channel) -> None:
        self._send = channel.send

    @hookimpl
    def on_run_start(self, run: Run) -> None:
        """Tell of the start."""
        self._send("run_start", {"run": asdict(run)})

    @hookimpl
    def on_step(self, step: int, metrics: Mapping[str, float]) -> None:
        """Tell of a step."""
        self._send("step", {"step": step, "metrics": dict(metrics)})

    @hookimpl
    def on_activity(self, activity: str) -> None:
        """Tell of an activity."""
        self._send("activity", {"activity": activity})

    @hookimpl
    def on_metrics(self, step: int, metrics: Mapping[str, float]) -> None:
        """Tell of measurements."""
        self._send("metrics", {"step": step, "metrics": dict(metrics)})

    @hookimpl
    def on_pictures(self, step: int, key: str, path: Path) -> None:
        """Tell of a picture."""
        self._send("pictures", {"step": step, "key": key, "path": str(path)})

    @hookimpl
    def on_checkpoint(self, step: int, path: Path) -> None:
        """Tell of a checkpoint."""
        self._send("checkpoint", {"step": step, "path": str(path)})

    @hookimpl
    def on_run_end(self, status: Status) -> None:
        """Tell of the end."""
        self._send("run_end", {"status": status})


class Retold:
    """Tells events and log lines of one run again."""

    def __init__(self, events: Events) -> None:
        self._events = events
        self._run: Run | None = None

    def tell(self, kind: str, content: dict[str, Any]) -> None:
        """Tell one message of a `Channel`."""
        if kind == "log":
            logging.getLogger(content["name"]).log(content["level"], "%s", content["message"])
            return
        if kind == "run_start":
            told = content["run"]
            self._run = Run(**{**told, "directory": Path(told["directory"])})
            content = {}
        if "path" in content:
            content["path"] = Path(content["path"])
        getattr(self._events, kind)(self._run, **content)


LOG = "processes.log"
"""What the processes of a training say that is no event, in the run directory."""

_PAUSE = 0.2  # seconds between two looks at the signals


def launched(experiment: Experiment, root: Path, directory: Path, events: Events) -> Checkpoint:
    """Train in `training.processes` processes; return the last checkpoint.

    Raises:
        ConfigError: if the machine has GPUs, but not one for each process.
        NoisetteError: what the workers raise; or, if one dies, what was said last, and where the rest is.
    """
    count = experiment.training.processes
    if device_type() == "cuda" and count > torch.cuda.device_count():
        message = f"expected at most {torch.cuda.device_count()}, one for each GPU; got {count}"
        raise ConfigError("training", [Problem("training.processes", message)])
    make_directory(directory)
    with graceful_stop() as stop, TemporaryDirectory() as folder:
        order = Path(folder, "order.json")
        order.write_text(json.dumps({"experiment": experiment.options(), "root": str(root.absolute())}))
        with _torchrun(order, count, directory / LOG) as process:
            told = _Told(directory, events)
            _follow(process, told, stop)
        return told.outcome(process.returncode)


@contextmanager
def _torchrun(order: Path, count: int, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Start the workers; behind the block none is left."""
    meeting = [
        "--rdzv-backend=c10d",
        "--rdzv-conf=store_type=file",
        f"--rdzv-endpoint={order.with_name('torchrun')}",
        f"--rdzv-id={order.parent.name}",
    ]
    command = [sys.executable, "-P", "-m", "torch.distributed.run", f"--nproc-per-node={count}", *meeting]
    with log.open("wb") as said:
        process = subprocess.Popen(
            [*command, "-m", "noisette.training.worker", str(order)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=said,
            env=_environment(os.environ, order.with_name("meeting"), count),
            start_new_session=True,  # Ctrl-C comes here, and goes on to worker 0 alone
        )
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _environment(environment: Mapping[str, str], meeting: Path, count: int) -> dict[str, str]:
    defaults = {
        "OMP_NUM_THREADS": str(max(1, (os.cpu_count() or 1) // count)),
        "GLOO_SOCKET_IFNAME": "lo",
        "NCCL_SOCKET_IFNAME": "lo",
    }
    ours = {
        MEETING: str(meeting),
        # torchrun would open a port to all interfaces for the workers to meet at; they meet at a file
        "TORCH_DISABLE_SHARE_RDZV_TCP_STORE": "1",
        "PYTHONSAFEPATH": "1",  # torchrun starts them without -P: modules of the working folder would be theirs
    }
    return {**defaults, **environment, **ours}


def _follow(process: subprocess.Popen[bytes], told: _Told, stop: Stop) -> None:
    """Tell on what the workers tell, until they end; hand a signal on."""
    lines: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
    Thread(target=_read, args=(process, lines), daemon=True).start()
    passed_on = False
    while True:
        with suppress(queue.Empty):
            line = lines.get(timeout=_PAUSE)
            if line is None:
                process.wait()
                return
            told.take(line)
        if stop and not passed_on:
            passed_on = True
            _pass_on(stop.signal or signal.SIGTERM, told.worker, process)


def _read(process: subprocess.Popen[bytes], lines: queue.SimpleQueue[bytes | None]) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        lines.put(line)
    lines.put(None)


def _pass_on(number: int, worker: int | None, process: subprocess.Popen[bytes]) -> None:
    """Stop the workers: those at work by a signal to the first; those that have not begun are ended."""
    with suppress(ProcessLookupError):
        if worker is not None:
            os.kill(worker, number)
        else:
            os.killpg(process.pid, signal.SIGKILL)


class _Told:
    """What the workers told."""

    def __init__(self, directory: Path, events: Events) -> None:
        self._directory, self._retold = directory, Retold(events)
        self._error: NoisetteError | None = None
        self._defect = ""
        self._checkpoint: Path | None = None
        self.worker: int | None = None

    def take(self, line: bytes) -> None:
        """Tell a line on."""
        message: dict[str, Any] = json.loads(line)
        kind, content = message["kind"], message["content"]
        if kind == "worker":
            self.worker = content
        elif kind == "error":
            self._error = self._error or _error(**content)
        elif kind == "defect":
            self._defect = self._defect or content
        elif kind == "end":
            self._checkpoint = Path(content)
        else:
            self._retold.tell(kind, content)

    def outcome(self, code: int) -> Checkpoint:
        """Return the last checkpoint, or raise what went wrong."""
        if self._error is not None:
            raise self._error
        if self._checkpoint is None:
            why = self._defect or f"they ended with code {code}, without a word"
            raise NoisetteError(f"training in several processes failed: {why}; see {self._directory / LOG}")
        return Checkpoint.open(self._checkpoint)


def _error(name: str, message: str) -> NoisetteError:
    """Return the error that a worker raised."""
    kind = getattr(errors, name, NoisetteError)
    return NoisetteError(message) if kind is ConfigError else kind(message)
