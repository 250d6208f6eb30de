"""What is shown at the end of a flow run: the comparison, the samplers' pictures, and where MLflow shows them."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from pathlib import Path

from noisette import Report, Samples
from noisette_flows.artifacts.sender import Note, Poster, slug
from noisette_flows.display.table import markdown
from noisette_flows.tracking import Store, experiment_of

__all__ = ["conclude", "embedded"]

_WIDTH = 640  # small pictures are enlarged to about this, each pixel a square
_MOST_BYTES = 400_000  # bytes; a larger picture is named only


def embedded(path: Path, title: str) -> str:
    """Return a PNG file as an image in markdown, or its path, if it cannot be read or is large."""
    from PIL import Image

    try:
        with Image.open(path) as image:
            factor = max(1, _WIDTH // image.width)
            shown = image.resize((image.width * factor, image.height * factor), Image.Resampling.NEAREST)
    except OSError:
        return f"`{path}`"
    written = io.BytesIO()
    shown.save(written, format="PNG", optimize=True)
    if written.tell() > _MOST_BYTES:
        return f"`{path}`"
    return f"![{title}](data:image/png;base64,{base64.b64encode(written.getvalue()).decode()})"


_MOST = 8  # samplers whose pictures are shown


def conclude(
    poster: Poster, name: str, report: Report, samples: Sequence[Samples], run: Path, store: Store | None
) -> None:
    """Show the comparison as a page and as a table, and a link to MLflow."""
    link = _link(run, store)
    parts = [f"# {name}: the comparison", markdown(report)]
    if link:
        parts.insert(1, f"[Charts and pictures in MLflow]({link})")
    for drawn in list(samples)[:_MOST]:
        parts += [f"### {drawn.label}", embedded(drawn.grid, drawn.label)]
    key = slug(name)
    poster.post(Note(f"{key}-comparison", "markdown", "\n\n".join(parts), f"{name}: the comparison, with pictures"))
    poster.post(Note(f"{key}-comparison-table", "table", _rows(report), f"{name}: the comparison"))
    if link:
        poster.post(
            Note(f"{key}-mlflow", "markdown", f"[{name} in MLflow]({link})", "charts of the runs side by side")
        )


def _rows(report: Report) -> str:
    """Return the table's rows as Prefect stores them, JSON in a text."""
    import json

    rows = []
    for row in report.rows:
        told = {column: _rounded(row.results[column].value) for column in report.columns if column in row.results}
        about = {"sampler": row.label, "steps": row.steps, "network calls": row.network_calls}
        rows.append({**about, "seconds per picture": _rounded(row.seconds_per_picture), **told})
    return json.dumps(rows)


def _rounded(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.4g}")


def _link(run: Path, store: Store | None) -> str:
    experiment = experiment_of(run, store) if store is not None else ""
    return store.link(experiment) if store is not None and experiment else ""
