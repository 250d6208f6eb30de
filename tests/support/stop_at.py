"""A listener that asks for a stop, as Ctrl-C does."""

from __future__ import annotations

import os
import signal

from noisette import Run, hookimpl


class StopAt:
    """Ask for a stop at a step."""

    def __init__(self, step: int) -> None:
        self.at = step

    @hookimpl
    def on_step(self, run: Run, step: int) -> None:
        if step == self.at:
            os.kill(os.getpid(), signal.SIGINT)
