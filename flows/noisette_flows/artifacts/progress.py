"""The listener that shows the progress of the stages of a flow run."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from uuid import UUID

from noisette import Run, hookimpl
from noisette.formatting import format_number
from noisette.hooks import Status
from noisette.progress import StageProgress
from noisette_flows.artifacts.report import image_markdown
from noisette_flows.artifacts.sender import Artifact, ArtifactSender, slug

__all__ = ["ProgressArtifacts", "artifact_key"]

_STATUS_TEXT: dict[Status, str] = {"finished": "done", "stopped": "stopped", "failed": "failed"}
_MAX_ROWS = 8  # measurements shown


class ProgressArtifacts:
    """Shows each stage as a progress bar, and training as a page with its loss and its last preview.

    Args:
        artifact_sender: sends the artifacts.
        every: seconds between two updates.
    """

    def __init__(self, artifact_sender: ArtifactSender, every: float = 1.0) -> None:
        self._sender, self._every = artifact_sender, every
        self._pace: StageProgress | None = None
        self._task: UUID | None = None
        self._last_sent = 0.0
        self._metrics: list[tuple[int, dict[str, float]]] = []
        self._grid: tuple[int, Path] | None = None

    @hookimpl
    def on_run_start(self, run: Run) -> None:
        """Start a bar."""
        from prefect.runtime import task_run

        self._pace, self._task = StageProgress(run), UUID(task_run.id) if task_run.id else None
        self._metrics, self._grid = [], None
        self._send_progress("started")

    @hookimpl
    def on_step(self, step: int) -> None:
        """Move the bar at intervals."""
        if self._pace is None:
            return
        self._pace.update(step)
        if time.monotonic() - self._last_sent >= self._every:
            self._send_progress()

    @hookimpl
    def on_activity(self, activity: str) -> None:
        """Show what is done while the bar does not move."""
        if self._pace is not None:
            self._pace.begin(activity)
            self._send_progress()

    @hookimpl
    def on_metrics(self, run: Run, step: int, metrics: Mapping[str, float]) -> None:
        """Note the metrics, and show those of training."""
        if self._pace is None:
            return
        self._pace.measure(metrics)
        if run.stage == "train":
            self._metrics = [*self._metrics, (step, dict(metrics))][-500:]
            self._send_page()

    @hookimpl
    def on_images(self, run: Run, step: int, path: Path) -> None:
        """Show the last preview of training, or the images of a sampler."""
        if self._pace is None:
            return
        self._grid = step, path
        self._send_page()

    @hookimpl
    def on_run_end(self, status: Status) -> None:
        """Show how the stage ended."""
        if self._pace is not None:
            self._send_progress(_STATUS_TEXT[status], done=status == "finished")

    def _send_progress(self, word: str = "", done: bool = False) -> None:
        pace = self._pace
        if pace is None:
            return
        self._last_sent = time.monotonic()
        known = [fact for fact in pace.facts if not word or fact != pace.time_left]
        share = 100.0 if done else 100.0 * pace.step / pace.run.total if pace.run.total else 0.0
        text = f"**{pace.title}**: {', '.join([word, *known] if word else known)}"
        self._sender.post(Artifact(artifact_key(pace.run), "progress", min(share, 100.0), text, self._task))

    def _send_page(self) -> None:
        pace = self._pace
        if pace is None:
            return
        parts = [f"# {pace.title}: {pace.done}"]
        if self._metrics:
            parts.append(_table(self._metrics))
        if self._grid is not None:
            step, path = self._grid
            parts.append(f"### {f'Samples at step {step}' if pace.run.stage == 'train' else 'Images'}")
            parts.append(image_markdown(path, f"{pace.title} at {step}"))
        about = f"{pace.title}: {'loss and last preview' if self._metrics else 'images'}"
        self._sender.post(
            Artifact(f"{artifact_key(pace.run)}-page", "markdown", "\n\n".join(parts), about, self._task)
        )


def artifact_key(run: Run) -> str:
    """Return the key of a stage's artifacts."""
    return slug(f"{run.stage} {run.name}")


def _table(measured: list[tuple[int, dict[str, float]]]) -> str:
    """Return evenly spaced measurements, with the last one, as a table in markdown."""
    chosen = measured[:: -max(1, len(measured) // _MAX_ROWS)][:_MAX_ROWS][::-1]
    names: list[str] = [
        name for name in ("loss", "lr", "grad_norm", "images_per_second") if name in measured[-1][1]
    ]
    names += [name for name in measured[-1][1] if name not in names][: 6 - len(names)]
    head = f"| step | {' | '.join(name.replace('_', ' ') for name in names)} |\n|{' ---: |' * (len(names) + 1)}"
    rows = [
        f"| {step} | {' | '.join(format_number(values[name], 3) if name in values else '' for name in names)} |"
        for step, values in chosen
    ]
    return "\n".join([head, *rows])
