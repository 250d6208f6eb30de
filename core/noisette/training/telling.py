"""Events between processes, as lines of JSON: told in a worker, and told on where it was started."""

from __future__ import annotations

import json
import logging
import os
import signal
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from noisette.events import Events
from noisette.hooks import Run, Status, hookimpl

__all__ = ["Channel", "Retold", "Teller"]


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
