"""`noisette evaluate-folders IMAGES REAL`: any two sets of images, without an experiment."""

from __future__ import annotations

import json as jsonlib
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.console import Console

from noisette.comparison.samplers import parse_sampler, split_samplers
from noisette_flows.cli.options import AsJson, Output, Set, parse_settings
from noisette_flows.cli.runner import console_for_progress, log_or_warn

if TYPE_CHECKING:
    from noisette import Report

__all__ = ["Features", "Metrics", "evaluate_folders", "evaluation_options"]

Features = Annotated[
    str,
    typer.Option(
        "--features",
        metavar="FEATURES",
        help="Feature network, such as inception:resize=legacy. Default: the experiment's, or the metrics' own.",
        show_default=False,
    ),
]
Metrics = Annotated[
    str,
    typer.Option(
        "--metrics",
        metavar="LIST",
        help="Metrics, such as frechet,kid:subsets=50. Default: the experiment's, or all that suit the images.",
        show_default=False,
    ),
]


def evaluate_folders(
    images: Annotated[
        str,
        typer.Argument(
            metavar="IMAGES",
            help="Images to judge: a folder of files, or a sampler's directory.",
            show_default=False,
        ),
    ],
    real: Annotated[
        str,
        typer.Argument(
            metavar="REAL",
            help="Images to compare with: a folder of files, prepared images, or an experiment's YAML file.",
            show_default=False,
        ),
    ],
    features: Features = "",
    metrics: Metrics = "",
    held_out: Annotated[
        str | None,
        typer.Option(
            "--held-out",
            metavar="FOLDER",
            help="Real images for the floor that are not in REAL. Default: a part of REAL.",
            show_default=False,
        ),
    ] = None,
    size: Annotated[
        int | None,
        typer.Option(
            "--size", min=1, help="Height and width to fit files to. Default: their own.", show_default=False
        ),
    ] = None,
    fit: Annotated[Literal["crop", "resize", "pad"], typer.Option("--fit", help="How files are fitted.")] = "crop",
    channels: Annotated[
        int | None,
        typer.Option(
            "--channels",
            min=1,
            max=3,
            help="Channels to convert files to: 1 is grey, 3 is RGB. Default: their own.",
            show_default=False,
        ),
    ] = None,
    floor: Annotated[
        bool, typer.Option("--floor/--no-floor", help="Compare real images with real ones too.")
    ] = True,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Seed of the choice of images for the floor.")] = 0,
    settings: Set = None,
    output: Output = "runs",
    json: AsJson = False,
    tracking_uri: Annotated[
        str | None,
        typer.Option("--tracking-uri", help="MLflow store to log to. Default: none.", show_default=False),
    ] = None,
) -> None:
    """Compare two sets of images, without an experiment."""
    options: dict[str, Any] = {
        **evaluation_options(features, metrics),
        "heldout": held_out,
        "size": size,
        "fit": fit,
        "channels": channels,
        "floor": floor,
        "seed": seed,
        "root": output,
        "overrides": parse_settings(settings),
    }
    from noisette import Events
    from noisette.evaluation import evaluate_images
    from noisette_flows.display.progress import show_progress
    from noisette_flows.display.report import mlflow_lines
    from noisette_flows.outcome import tracking_json
    from noisette_flows.tracking import Store
    from noisette_flows.tracking.reports import send_folder_evaluation

    store = Store.of(tracking_uri) if tracking_uri else None
    with show_progress(console_for_progress(), waiting="") as progress:
        report = evaluate_images(images, real, **options, events=Events([progress]))
    experiment = log_or_warn(lambda: send_folder_evaluation(report, store), store) if store is not None else ""
    if json:
        print(jsonlib.dumps({**_facts(report), "tracking": tracking_json(store, experiment)}, indent=1))
    else:
        _show(report, mlflow_lines(store, experiment))


def evaluation_options(features: str, metrics: str) -> dict[str, Any]:
    """Return features and metrics of a command line as config values; options that are not given are left out."""
    options: dict[str, Any] = {"features": parse_sampler(features)} if features else {}
    return options | ({"metrics": [*map(parse_sampler, split_samplers(metrics))]} if metrics else {})


def _facts(report: Report) -> dict[str, Any]:
    from noisette_flows.outcome import row_json

    return {
        "columns": list(report.columns),
        "better": dict(report.better),
        "rows": [row_json(row) for row in report.rows],
        "protocol": dict(report.protocol),
        "sides": report.details["sides"],
        "notes": list(report.notes),
        "neighbours": {label: str(path) for label, path in report.neighbour_figures.items()},
        "report": str(report.directory / "report.json"),
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
