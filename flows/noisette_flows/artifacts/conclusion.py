"""What is shown at the end of a flow run: the comparison, the samplers' pictures, and where MLflow shows them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from noisette import Report, Samples
from noisette_flows.artifacts.picture import embedded
from noisette_flows.artifacts.poster import Note, Poster, slug
from noisette_flows.display.table import markdown
from noisette_flows.tracking import Store, experiment_of

__all__ = ["conclude"]

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
