"""A tracker as a stranger would write it: what happens in a run, a line each, in the file that DIARY names."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from noisette import Run, hookimpl


def write(hook: str, run: Run, **told: Any) -> None:
    line = {"hook": hook, "stage": run.stage, "name": run.name, "total": run.total, **told}
    if "DIARY" in os.environ:
        with Path(os.environ["DIARY"]).open("a") as diary:
            diary.write(json.dumps(line) + "\n")


@hookimpl
def on_run_start(run: Run) -> None:
    write("start", run, directory=str(run.directory), options=sorted(run.options))


@hookimpl
def on_step(run: Run, step: int) -> None:
    write("step", run, step=step)


@hookimpl
def on_images(run: Run, step: int, key: str, path: Path) -> None:
    write("images", run, step=step, key=key, there=path.is_file())


@hookimpl
def on_metrics(run: Run, step: int, metrics: dict[str, float]) -> None:
    write("metrics", run, step=step, names=sorted(metrics))


@hookimpl
def on_checkpoint(run: Run, step: int, path: Path) -> None:
    write("checkpoint", run, step=step, there=(path / "MANIFEST.json").is_file())


@hookimpl
def on_run_end(run: Run, status: str) -> None:
    write("end", run, status=status)
