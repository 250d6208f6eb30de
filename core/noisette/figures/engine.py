"""The stage `figures`: makes the figures that a config lists, each once."""

from __future__ import annotations

import time
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

import torch

from noisette.checkpoint import Checkpoint
from noisette.code_changes import warn_if_code_changed
from noisette.config import Experiment, Figure, FiguresConfig
from noisette.events import Events
from noisette.figures.render import count_parts, render_figure
from noisette.figures.result import FigureResult
from noisette.hooks import Run
from noisette.layout import figures_directory, run_directory
from noisette.machine import use_threads
from noisette.plugins import registry
from noisette.plugins.registry import iter_plugins
from noisette.progress import default_events
from noisette.storage import committed

__all__ = ["make_figure"]


def make_figure(
    config: Experiment | FiguresConfig,
    figure: Figure,
    root: Path | str = "runs",
    *,
    checkpoint: Checkpoint | None = None,
    again: bool = False,
    events: Events | None = None,
) -> FigureResult:
    """Make a figure of a config; a finished one is returned at once.

    Args:
        config: its data, seed and sampling options decide the images.
        figure: one of `config.figures`.
        root: results directory.
        checkpoint: trained network, for figures that need one; the figure is stored in its run.
        again: make the figure again and replace a finished one once the new one is complete.
        events: receives the progress.

    Raises:
        DataError, NotFiniteError, PluginError, StorageError: as `noisette.figures.render_figure`.
    """
    root, checkpoint = Path(root), checkpoint if figure.needs_model else None
    run = run_directory(config, root) if checkpoint is None else checkpoint.run
    directory = figures_directory(run, "" if checkpoint is None else checkpoint.digest, figure, config)
    finished = FigureResult.finished(directory)
    if finished is not None and not again:
        return finished
    events = events or default_events()
    task = Run("figures", figure.label, directory, count_parts(figure), figure.model_dump(mode="json"))
    with events.stage(task):
        _write(config, figure, root, checkpoint, task, events)
        result = FigureResult.finished(directory)
        if result is None:
            raise RuntimeError(f"{directory}: the figure that was just written is not there")
        for path in result.files:
            events.images(task, task.total, f"figures/{figure.label}", path)
    return result


def _write(
    config: Experiment | FiguresConfig,
    figure: Figure,
    root: Path,
    checkpoint: Checkpoint | None,
    task: Run,
    events: Events,
) -> None:
    start = time.perf_counter()
    about = _describe(config, figure, checkpoint)
    origins = registry().origins_of(iter_plugins(figure))
    warn_if_code_changed(task.directory, "figures", origins, about, "making its figures again")
    about["plugins"] = origins
    with committed(task.directory, "figures", about) as staging, use_threads(config.threads):
        files, _, notes = render_figure(
            figure,
            staging,
            checkpoint=checkpoint,
            experiment=config if isinstance(config, Experiment) else None,
            root=root,
            seed=config.seed,
            on_part=_report_parts(task, events),
        )
        seconds = time.perf_counter() - start
        about |= {"files": [path.name for path in files], "notes": notes, "seconds": seconds}


def _report_parts(task: Run, events: Events) -> Callable[[], None]:
    numbers = count(1)
    return lambda: events.step(task, next(numbers), {})


def _describe(config: Experiment | FiguresConfig, figure: Figure, checkpoint: Checkpoint | None) -> dict[str, Any]:
    generated = {} if checkpoint is None else {"checkpoint": checkpoint.digest, "step": checkpoint.step}
    about = {"label": figure.label, "figure": figure.model_dump(mode="json"), "seed": config.seed, **generated}
    return {**about, "versions": {"torch": torch.__version__}}
