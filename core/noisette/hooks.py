"""The hooks that a package can implement, found through the entry-point group `noisette`.

An entry point names a module (or another object) with functions marked by `@hookimpl`:

    # pyproject.toml
    [project.entry-points.noisette]
    heun = "noisette_heun"

    # noisette_heun.py
    @hookimpl
    def plugins():
        yield Heun

A lifecycle hook may take any of its arguments, by name. A listener that raises is logged once and not called again
in that run; the run continues.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pluggy

if TYPE_CHECKING:
    from noisette.contracts import Plugin

__all__ = ["PROJECT", "HookSpecs", "Run", "Status", "hookimpl"]

PROJECT = "noisette"
"""Name of the entry-point group and of the pluggy project."""

hookimpl = pluggy.HookimplMarker(PROJECT)
hookspec = pluggy.HookspecMarker(PROJECT)

Status = Literal["finished", "stopped", "failed"]
"""How a run ended: complete, stopped on request, or with an error."""


@dataclass(frozen=True)
class Run:
    """A running stage.

    Attributes:
        stage: "prepare", "train", "sample", "evaluate" or "figures".
        name: such as the experiment's or the sampler's name.
        directory: the directory of its results.
        total: the last step, in the unit of `on_step`; 0 if unknown.
        options: its options as JSON values.
    """

    stage: Literal["prepare", "train", "sample", "evaluate", "figures"]
    name: str
    directory: Path
    total: int
    options: Mapping[str, Any]


class HookSpecs:
    """The hooks with their arguments."""

    @hookspec
    def plugins(self) -> Iterable[type[Plugin]]:  # type: ignore[empty-body]
        """Yield the plugin classes of this package."""

    @hookspec
    def on_run_start(self, run: Run) -> None:
        """Called when a stage starts, also when it resumes."""

    @hookspec
    def on_step(self, run: Run, step: int, metrics: Mapping[str, float]) -> None:
        """Called when `step` of `run.total` is finished: training steps, images sampled or read.

        `metrics` are measurements of the step; it may be empty.
        """

    @hookspec
    def on_activity(self, run: Run, activity: str) -> None:
        """Called when a stage starts work that steps do not count, such as ``computing kid of ddim-50``."""

    @hookspec
    def on_images(self, run: Run, step: int, key: str, path: Path) -> None:
        """Called when an image file is written, such as the preview grid of a training step."""

    @hookspec
    def on_metrics(self, run: Run, step: int, metrics: Mapping[str, float]) -> None:
        """Called with measurements to store: losses, speed, evaluation results."""

    @hookspec
    def on_checkpoint(self, run: Run, step: int, path: Path) -> None:
        """Called when a checkpoint directory is complete on disk."""

    @hookspec
    def on_run_end(self, run: Run, status: Status) -> None:
        """Called when a stage ends."""
