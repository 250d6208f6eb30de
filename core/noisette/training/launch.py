"""Training in several processes, started by torchrun; their events are sent to this process."""

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
from noisette.training.distributed import RENDEZVOUS
from noisette.training.stop import Stop, graceful_stop

if TYPE_CHECKING:
    from noisette.config import Experiment

__all__ = ["LOG", "EventReplayer", "EventWriter", "PipeWriter", "launch_workers"]


class PipeWriter(logging.Handler):
    """Writes messages and log records to a pipe; sends the process SIGTERM if the reader is gone.

    Args:
        handle: file descriptor of the pipe.
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
        """Write a log record."""
        self.send("log", {"level": record.levelno, "name": record.name, "message": record.getMessage()})


class EventWriter:
    """A listener that writes events to a pipe."""

    def __init__(self, channel: PipeWriter) -> None:
        self._send = channel.send

    @hookimpl
    def on_run_start(self, run: Run) -> None:
        """Write the event."""
        self._send("run_start", {"run": asdict(run)})

    @hookimpl
    def on_step(self, step: int, metrics: Mapping[str, float]) -> None:
        """Write the event."""
        self._send("step", {"step": step, "metrics": dict(metrics)})

    @hookimpl
    def on_activity(self, activity: str) -> None:
        """Write the event."""
        self._send("activity", {"activity": activity})

    @hookimpl
    def on_metrics(self, step: int, metrics: Mapping[str, float]) -> None:
        """Write the event."""
        self._send("metrics", {"step": step, "metrics": dict(metrics)})

    @hookimpl
    def on_images(self, step: int, key: str, path: Path) -> None:
        """Write the event."""
        self._send("images", {"step": step, "key": key, "path": str(path)})

    @hookimpl
    def on_checkpoint(self, step: int, path: Path) -> None:
        """Write the event."""
        self._send("checkpoint", {"step": step, "path": str(path)})

    @hookimpl
    def on_run_end(self, status: Status) -> None:
        """Write the event."""
        self._send("run_end", {"status": status})


class EventReplayer:
    """Emits the events and log records of a `PipeWriter`."""

    def __init__(self, events: Events) -> None:
        self._events = events
        self._run: Run | None = None

    def replay(self, kind: str, content: dict[str, Any]) -> None:
        """Emit one message."""
        if kind == "log":
            logging.getLogger(content["name"]).log(content["level"], "%s", content["message"])
            return
        if kind == "run_start":
            options = content["run"]
            self._run = Run(**{**options, "directory": Path(options["directory"])})
            content = {}
        if "path" in content:
            content["path"] = Path(content["path"])
        getattr(self._events, kind)(self._run, **content)


LOG = "processes.log"
"""File in the run directory with the output of the processes."""

_POLL_SECONDS = 0.2  # seconds between checks for a signal


def launch_workers(experiment: Experiment, root: Path, directory: Path, events: Events) -> Checkpoint:
    """Train in `training.processes` processes; return the last checkpoint.

    Raises:
        ConfigError: if there are GPUs, but fewer than processes.
        NoisetteError: the error of a worker, or a message with the path of their output.
    """
    processes = experiment.training.processes
    if device_type() == "cuda" and processes > torch.cuda.device_count():
        message = f"expected at most {torch.cuda.device_count()}, one for each GPU; got {processes}"
        raise ConfigError("training", [Problem("training.processes", message)])
    make_directory(directory)
    with graceful_stop() as stop, TemporaryDirectory() as folder:
        request = Path(folder, "order.json")
        request.write_text(json.dumps({"experiment": experiment.options(), "root": str(root.absolute())}))
        with _torchrun(request, processes, directory / LOG) as process:
            outcome = _WorkerOutcome(directory, events)
            _relay_output(process, outcome, stop)
        return outcome.result(process.returncode)


@contextmanager
def _torchrun(request: Path, processes: int, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Start the workers; end them after the block."""
    rendezvous = [
        "--rdzv-backend=c10d",
        "--rdzv-conf=store_type=file",
        f"--rdzv-endpoint={request.with_name('torchrun')}",
        f"--rdzv-id={request.parent.name}",
    ]
    command = [sys.executable, "-P", "-m", "torch.distributed.run", f"--nproc-per-node={processes}", *rendezvous]
    with log.open("wb") as stderr_file:
        process = subprocess.Popen(
            [*command, "-m", "noisette.training.worker", str(request)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=stderr_file,
            env=_environment(os.environ, request.with_name("rendezvous"), processes),
            start_new_session=True,  # this process forwards Ctrl-C to worker 0 only
        )
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _environment(environment: Mapping[str, str], rendezvous: Path, processes: int) -> dict[str, str]:
    defaults = {
        "OMP_NUM_THREADS": str(max(1, (os.cpu_count() or 1) // processes)),
        "GLOO_SOCKET_IFNAME": "lo",
        "NCCL_SOCKET_IFNAME": "lo",
    }
    ours = {
        RENDEZVOUS: str(rendezvous),
        # torchrun would open a port on all interfaces; the workers use a rendezvous file
        "TORCH_DISABLE_SHARE_RDZV_TCP_STORE": "1",
        "PYTHONSAFEPATH": "1",  # torchrun starts them without -P, so they would import from the working folder
    }
    return {**defaults, **environment, **ours}


def _relay_output(process: subprocess.Popen[bytes], outcome: _WorkerOutcome, stop: Stop) -> None:
    """Emit the messages of the workers until they end; forward a signal."""
    lines: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
    Thread(target=_read_lines, args=(process, lines), daemon=True).start()
    forwarded = False
    while True:
        with suppress(queue.Empty):
            line = lines.get(timeout=_POLL_SECONDS)
            if line is None:
                process.wait()
                return
            outcome.handle_line(line)
        if stop.requested and not forwarded:
            forwarded = True
            _forward_signal(stop.signal or signal.SIGTERM, outcome.worker, process)


def _read_lines(process: subprocess.Popen[bytes], lines: queue.SimpleQueue[bytes | None]) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        lines.put(line)
    lines.put(None)


def _forward_signal(signal_number: int, worker: int | None, process: subprocess.Popen[bytes]) -> None:
    """Signal the first worker; kill all if they have not started to train."""
    with suppress(ProcessLookupError):
        if worker is not None:
            os.kill(worker, signal_number)
        else:
            os.killpg(process.pid, signal.SIGKILL)


class _WorkerOutcome:
    """The messages and the result of the workers."""

    def __init__(self, directory: Path, events: Events) -> None:
        self._directory, self._replayer = directory, EventReplayer(events)
        self._raised: NoisetteError | None = None
        self._defect = ""
        self._checkpoint: Path | None = None
        self.worker: int | None = None

    def handle_line(self, line: bytes) -> None:
        """Handle a message."""
        message: dict[str, Any] = json.loads(line)
        kind, content = message["kind"], message["content"]
        if kind == "worker":
            self.worker = content
        elif kind == "error":
            self._raised = self._raised or _rebuild_error(**content)
        elif kind == "defect":
            self._defect = self._defect or content
        elif kind == "end":
            self._checkpoint = Path(content)
        else:
            self._replayer.replay(kind, content)

    def result(self, code: int) -> Checkpoint:
        """Return the last checkpoint, or raise the workers' error."""
        if self._raised is not None:
            raise self._raised
        if self._checkpoint is None:
            reason = self._defect or f"exit code {code}, without a message"
            raise NoisetteError(f"training in several processes failed: {reason}; see {self._directory / LOG}")
        return Checkpoint.open(self._checkpoint)


def _rebuild_error(name: str, message: str) -> NoisetteError:
    """Return the error that a worker raised."""
    kind = getattr(errors, name, NoisetteError)
    return NoisetteError(message) if kind is ConfigError else kind(message)
