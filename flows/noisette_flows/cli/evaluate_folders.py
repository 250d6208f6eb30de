"""`noisette evaluate IMAGES REAL`: any two sets of images, without an experiment."""

from __future__ import annotations

import json as jsonlib
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.console import Console

from noisette.comparison.choice import parse_sampler, split_samplers
from noisette_flows.cli.runner import console_for_progress, log_or_warn

if TYPE_CHECKING:
    from noisette import Report

__all__ = ["Channels", "Features", "Fit", "Floor", "HeldOut", "Metrics", "Reference", "Seed", "Size", "Subject"]
__all__ += ["evaluate_image_sets", "evaluation_options", "refuse_image_set_options"]

Subject = Annotated[
    str,
    typer.Argument(
        metavar="CONFIG|IMAGES",
        help="YAML file of an experiment; or, before REAL, images: a folder of files, or a sampler's directory.",
        show_default=False,
    ),
]
Reference = Annotated[
    str | None,
    typer.Argument(
        metavar="[REAL]",
        help="What IMAGES are compared with: a folder of files, prepared images, or an experiment's YAML file.",
        show_default=False,
    ),
]
Features = Annotated[
    str, typer.Option("--features", help="Judge over these, such as inception:resize=legacy.", show_default=False)
]
Metrics = Annotated[
    str, typer.Option("--metrics", metavar="LIST", help="Such as frechet,kid:subsets=50.", show_default=False)
]
HeldOut = Annotated[
    str | None,
    typer.Option(
        "--held-out", help="Folder of real images that REAL does not have: the floor.", show_default=False
    ),
]
Size = Annotated[
    int | None,
    typer.Option("--size", min=1, help="Bring the files of folders to this size first.", show_default=False),
]
Fit = Annotated[Literal["crop", "resize", "pad"], typer.Option("--fit", help="How they are brought to it.")]
Channels = Annotated[
    int | None,
    typer.Option("--channels", min=1, max=3, help="1 makes the files of folders grey, 3 RGB.", show_default=False),
]
Floor = Annotated[bool, typer.Option("--floor/--no-floor", help="A row of real images against real ones.")]
Seed = Annotated[int, typer.Option("--seed", min=0, help="Decides which images make the floor.")]


def evaluate_image_sets(
    images: str, real: str, options: dict[str, Any], tracking_uri: str | None, *, json: bool
) -> None:
    """Compare two sets of images and show the result; they are tracked only where a store is named.

    Args:
        images: path of what is judged.
        real: path of what it is compared with.
        options: further arguments of `noisette.evaluation.evaluate_images`.
        tracking_uri: MLflow store; none if not given.
        json: whether to print JSON instead of a table.
    """
    from noisette import Events
    from noisette.evaluation import evaluate_images
    from noisette_flows.display.progress import BarProgress, show_progress
    from noisette_flows.display.report import mlflow_lines
    from noisette_flows.outcome import tracking_json
    from noisette_flows.tracking import Store
    from noisette_flows.tracking.reports import send_evaluation

    store = Store.of(tracking_uri) if tracking_uri else None
    with show_progress(console_for_progress()) as progress:
        if isinstance(progress, BarProgress):
            progress.hide_waiting()
        report = evaluate_images(images, real, **options, events=Events([progress]))
    experiment = log_or_warn(lambda: send_evaluation(report, store), store) if store is not None else ""
    if json:
        print(jsonlib.dumps({**_facts(report), "tracking": tracking_json(store, experiment)}, indent=1))
    else:
        _show(report, mlflow_lines(store, experiment))


def evaluation_options(features: str, metrics: str) -> dict[str, Any]:
    """Return features and metrics of a command line as a config says them; nothing for what is not given."""
    given: dict[str, Any] = {"features": parse_sampler(features)} if features else {}
    return given | ({"metrics": [parse_sampler(metric) for metric in split_samplers(metrics)]} if metrics else {})


def refuse_image_set_options(subject: str, options: dict[str, Any]) -> None:
    """Refuse what makes sense for two sets of images only.

    Args:
        subject: the only path that was given.
        options: names of options, and whether they were given.

    Raises:
        typer.BadParameter: saying what to do.
    """
    if Path(subject).is_dir():
        raise typer.BadParameter(
            f"{subject} is a folder: say what its images are compared with: noisette evaluate {subject} REAL"
        )
    given = [name for name, value in options.items() if value]
    if given:
        raise typer.BadParameter(f"{given[0]} is for two sets of images: noisette evaluate IMAGES REAL")


def _facts(report: Report) -> dict[str, Any]:
    from noisette_flows.outcome import row_json

    return {
        "columns": list(report.columns),
        "better": dict(report.better),
        "rows": [row_json(row) for row in report.rows],
        "protocol": dict(report.protocol),
        "sides": report.details["sides"],
        "notes": list(report.notes),
        "neighbours": {label: os.fspath(path) for label, path in report.neighbour_figures.items()},
        "report": os.fspath(report.directory / "report.json"),
    }


def _show(report: Report, mlflow: list[str]) -> None:
    from noisette_flows.display.report import show_lines, show_report

    console = Console()
    show_report(report, console)
    left_out = [
        f"{side['rejected']} of {side['found']} files of {side['name']}; the reasons: {side['rejections']}"
        for side in report.details["sides"].values()
        if side.get("rejected")
    ]
    show_lines("left out", left_out, console)
    show_lines("nearest", [str(path) for path in report.neighbour_figures.values()], console)
    show_lines("report", [str(report.directory / "report.json")], console)
    show_lines("MLflow", mlflow, console)
