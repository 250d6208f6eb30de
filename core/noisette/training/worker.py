"""A process of a training, started by `noisette.training.launch` through torchrun."""

from __future__ import annotations

import json
import logging
import os
import signal
import sys
from pathlib import Path
from types import FrameType

from noisette import Events, Experiment, NoisetteError, train
from noisette.plugins.failures import describe_failure
from noisette.training.launch import EventWriter, PipeWriter
from noisette.training.stop import STOP_SIGNALS

__all__ = ["main"]


def main(request_file: Path) -> int:
    """Train the experiment of a request; write messages to the original standard output. Return the exit code."""
    channel = PipeWriter(os.dup(1))
    os.dup2(2, 1)
    for number in STOP_SIGNALS:
        signal.signal(number, _ignore_signal)
    first = os.environ["RANK"] == "0"
    if first:
        channel.send("worker", os.getpid())
        log = logging.getLogger("noisette")
        log.setLevel(logging.INFO)
        log.addHandler(channel)
    request = json.loads(request_file.read_text(encoding="utf-8"))
    try:
        experiment = Experiment.parse(request["experiment"])
        checkpoint = train(
            experiment, request["root"], events=Events([EventWriter(channel)] if first else [], installed=False)
        )
    except NoisetteError as error:
        channel.send("error", {"name": type(error).__name__, "message": str(error)})
        return 2
    except Exception as error:  # a bug in noisette or a plugin: one line for the user, the traceback for the log
        plain = f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"
        channel.send("defect", " ".join(describe_failure(error).split()) or plain)
        raise
    if first:
        channel.send("end", str(checkpoint.directory))
    return 0


def _ignore_signal(number: int, frame: FrameType | None) -> None:
    """Do nothing: `train` handles the signal and sends it again after saving."""


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
