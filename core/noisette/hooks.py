"""The hooks that a package can implement, found through the entry-point group `noisette`.

An entry point names a module (or any object) whose functions carry `@hookimpl`:

    # pyproject.toml
    [project.entry-points.noisette]
    heun = "noisette_heun"

    # noisette_heun.py
    @hookimpl
    def plugins():
        yield Heun

A lifecycle hook may take any of its arguments, by name. One that raises is reported once and not called again
in that run: a tracker that fails costs the run nothing.
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
"""Name of the entry-point group and of the hooks' project."""

hookimpl = pluggy.HookimplMarker(PROJECT)
hookspec = pluggy.HookspecMarker(PROJECT)

Status = Literal["finished", "stopped", "failed"]
"""How a run ended: complete, stopped on request, or with an error."""


@dataclass(frozen=True)
class Run:
    """One stage at work.

    Attributes:
        stage: "prepare", "train", "sample", "evaluate" or "figures".
        name: what it works on, such as the experiment's or the sampler's name.
        directory: where its results go.
        total: steps to the end, in the unit of `on_step`; 0 if unknown.
        options: JSON values that describe it.
    """

    stage: Literal["prepare", "train", "sample", "evaluate", "figures"]
    name: str
    directory: Path
    total: int
    options: Mapping[str, Any]


class HookSpecs:
    """All hooks with their arguments."""

    @hookspec
    def plugins(self) -> Iterable[type[Plugin]]:  # type: ignore[empty-body]
        """Yield the plugin classes of this package."""

    @hookspec
    def on_run_start(self, run: Run) -> None:
        """Be told that a stage starts; a resumed one starts again."""

    @hookspec
    def on_step(self, run: Run, step: int, metrics: Mapping[str, float]) -> None:
        """Be told that `step` of `run.total` is done: training steps, images sampled or read.

        `metrics` holds what the step measured, such as ``loss``; it may be empty.
        """

    @hookspec
    def on_activity(self, run: Run, activity: str) -> None:
        """Be told what a stage does from now on that no step counts, such as ``computing kid of ddim-50``."""

    @hookspec
    def on_images(self, run: Run, step: int, key: str, path: Path) -> None:
        """Be told of an image file, such as the grid drawn at a step of training."""

    @hookspec
    def on_metrics(self, run: Run, step: int, metrics: Mapping[str, float]) -> None:
        """Be given measurements to keep, at the pace of logging: losses, speed, evaluation results."""

    @hookspec
    def on_checkpoint(self, run: Run, step: int, path: Path) -> None:
        """Be told that a checkpoint directory is complete on disk."""

    @hookspec
    def on_run_end(self, run: Run, status: Status) -> None:
        """Be told that a stage ended."""
