"""Artifacts of a flow run in Prefect's pages: progress and the last preview, then the comparison.

They are sent from a separate thread, only the newest of each key. A slow or dead server does not delay the work: a
newer artifact replaces one that was not sent yet.
"""

from __future__ import annotations

import base64
import io
import json
import logging
import re
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextvars import copy_context
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

from noisette import Report, Run, Samples, hookimpl
from noisette.formatting import format_number
from noisette.hooks import Status
from noisette.progress import StageProgress
from noisette_flows.display.table import markdown
from noisette_flows.tracking import Store, experiment_of

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient

__all__ = [
    "Artifact",
    "ArtifactSender",
    "ProgressArtifacts",
    "artifact_key",
    "image_markdown",
    "send_interval",
    "send_report",
    "slug",
]

log = logging.getLogger(__name__)

_RETRY_AFTER = 30.0  # seconds after a server that did not answer is asked again
_MAX_INTERVAL = 30.0  # seconds between two rounds of a long run, each of which adds an event to Prefect's database


def slug(text: str) -> str:
    """Return a text as a key of an artifact: lower-case letters, digits and dashes."""
    return "-".join(re.findall(r"[a-z0-9]+", text.lower()))


@dataclass(frozen=True)
class Artifact:
    """An artifact.

    Attributes:
        key: its name in Prefect's pages: lower-case letters, digits and dashes.
        kind: "progress", "markdown" or "table".
        data: as Prefect stores that kind.
        description: markdown.
        task_run: of the artifact; None for the flow run itself.
    """

    key: str
    kind: str
    data: Any
    description: str = ""
    task_run: UUID | None = None


class ArtifactSender:
    """Sends the artifacts of one flow run.

    Args:
        flow_run: its id.
        every: seconds between the first rounds; later ones are less frequent.
        client: makes a client of Prefect's server.
    """

    def __init__(
        self, flow_run: UUID, every: float = 2.0, client: Callable[[], SyncPrefectClient] | None = None
    ) -> None:
        self._flow_run, self._every, self._client = flow_run, every, client or _client
        self._pending: dict[str, Artifact] = {}
        self._known: dict[str, UUID] = {}
        self._lock, self._wake, self._ending = threading.Lock(), threading.Event(), False
        context = copy_context()  # with the server of the flow run
        self._thread = threading.Thread(target=context.run, args=(self._run,), name="artifacts", daemon=True)
        self._thread.start()

    def post(self, artifact: Artifact) -> None:
        """Queue an artifact for the next round in place of an older one; returns at once."""
        with self._lock:
            self._pending[artifact.key] = artifact

    def close(self, patience: float = 10.0) -> None:
        """Send the rest; wait for at most `patience` seconds."""
        self._ending = True
        self._wake.set()
        self._thread.join(patience)

    def _run(self) -> None:
        began = time.monotonic()
        while not self._ending:
            self._wake.wait(send_interval(time.monotonic() - began, self._every))
            if self._send_newest():
                continue
            if not self._ending:
                self._wake.wait(_RETRY_AFTER)
        self._send_newest()

    def _send_newest(self) -> bool:
        """Send the queue; return whether the server accepted it."""
        with self._lock:
            artifacts, self._pending = list(self._pending.values()), {}
        if not artifacts:
            return True
        try:
            with self._client() as client:
                while artifacts:
                    self._send(client, artifacts[0])
                    artifacts.pop(0)
        except Exception as error:  # Prefect's client raises whatever its libraries raise
            log.debug("artifacts are not sent: %r", error)
            with self._lock:
                self._pending = {artifact.key: artifact for artifact in artifacts} | self._pending
            return False
        return True

    def _send(self, client: SyncPrefectClient, artifact: Artifact) -> None:
        from prefect.client.schemas.actions import ArtifactCreate, ArtifactUpdate

        known = self._known.get(artifact.key)
        if known is not None:
            client.update_artifact(known, ArtifactUpdate(data=artifact.data, description=artifact.description))
            return
        request = ArtifactCreate(
            key=artifact.key,
            type=artifact.kind,
            data=artifact.data,
            description=artifact.description,
            flow_run_id=self._flow_run,
            task_run_id=artifact.task_run,
        )
        self._known[artifact.key] = client.create_artifact(request).id


def send_interval(age: float, first: float) -> float:
    """Return the seconds between two rounds of a run of some age in seconds."""
    return max(first, min(age / 60, _MAX_INTERVAL))


def _client() -> SyncPrefectClient:
    from prefect.client.orchestration import get_client

    return get_client(sync_client=True)


_WIDTH = 640  # small images are enlarged to about this width
_MAX_BYTES = 400_000  # larger images are shown as paths


def image_markdown(path: Path, title: str) -> str:
    """Return a PNG file as an image in markdown, or its path if it is large or cannot be read."""
    from PIL import Image

    try:
        with Image.open(path) as image:
            factor = max(1, _WIDTH // image.width)
            enlarged = image.resize((image.width * factor, image.height * factor), Image.Resampling.NEAREST)
    except OSError:
        return f"`{path}`"
    content = io.BytesIO()
    enlarged.save(content, format="PNG", optimize=True)
    if content.tell() > _MAX_BYTES:
        return f"`{path}`"
    return f"![{title}](data:image/png;base64,{base64.b64encode(content.getvalue()).decode()})"


_MAX_SAMPLERS = 8  # samplers with images


def send_report(
    artifact_sender: ArtifactSender,
    name: str,
    report: Report,
    samples: Sequence[Samples],
    run: Path,
    store: Store | None,
) -> None:
    """Post the comparison as a page and as a table, and a link to MLflow."""
    link = _link(run, store)
    parts = [f"# {name}: the comparison", markdown(report)]
    if link:
        parts.insert(1, f"[Charts and images in MLflow]({link})")
    for sampled in list(samples)[:_MAX_SAMPLERS]:
        parts += [f"### {sampled.label}", image_markdown(sampled.grid, sampled.label)]
    key = slug(name)
    artifact_sender.post(
        Artifact(f"{key}-comparison", "markdown", "\n\n".join(parts), f"{name}: the comparison, with images")
    )
    artifact_sender.post(Artifact(f"{key}-comparison-table", "table", _rows(report), f"{name}: the comparison"))
    if link:
        artifact_sender.post(
            Artifact(f"{key}-mlflow", "markdown", f"[{name} in MLflow]({link})", "charts of the runs side by side")
        )


def _rows(report: Report) -> str:
    """Return the rows of the table as JSON, as Prefect stores them."""
    rows = []
    for row in report.rows:
        results = {
            column: _round_or_none(row.results[column].value) for column in report.columns if column in row.results
        }
        about = {"sampler": row.label, "steps": row.steps, "network calls": row.network_calls}
        rows.append({**about, "seconds per image": _round_or_none(row.seconds_per_image), **results})
    return json.dumps(rows)


def _round_or_none(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.4g}")


def _link(run: Path, store: Store | None) -> str:
    experiment = experiment_of(run, store) if store is not None else ""
    return store.link(experiment) if store is not None and experiment else ""


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
