"""Artifacts at the end of a flow run: the comparison, images of the samplers, and a link to MLflow."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Sequence
from pathlib import Path

from noisette import Report, Samples
from noisette_flows.artifacts.sender import Artifact, ArtifactSender, slug
from noisette_flows.display.table import markdown
from noisette_flows.tracking import Store, experiment_of

__all__ = ["image_markdown", "send_report"]

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
