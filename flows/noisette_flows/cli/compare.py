"""`noisette compare` and `noisette show`: samplers of one model, several models, and comparisons in MLflow."""

from __future__ import annotations

import json as jsonlib
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from noisette import ConfigError, StorageError
from noisette.comparison.samplers import DEFAULT_STEPS, split_samplers
from noisette.errors import Problem
from noisette_flows.cli.evaluate_folders import Features, Metrics, evaluation_options
from noisette_flows.cli.options import AsJson, Set, TrackingUri, parse_settings
from noisette_flows.cli.runner import FlowRequest, console_for_progress, log_or_warn, run_flow

if TYPE_CHECKING:
    from noisette.comparison import ModelComparison, Sweep

__all__ = ["compare", "show"]


def show(
    experiment: Annotated[
        str, typer.Argument(metavar="EXPERIMENT", help="Name of an experiment in MLflow.", show_default=False)
    ],
    json: AsJson = False,
    tracking_uri: TrackingUri = None,
) -> None:
    """Print the comparisons of all runs of an MLflow experiment, newest first."""
    from noisette.comparison import frontier, series_of
    from noisette_flows.display.report import show_report
    from noisette_flows.outcome import row_json
    from noisette_flows.tracking import Store
    from noisette_flows.tracking.history import TrackingError, load_history

    store = Store.of(tracking_uri)
    if store is None:
        raise ConfigError("--tracking-uri", [Problem("", 'expected an MLflow store to read; got "off"')])
    comparisons = load_history(store, experiment)
    if not comparisons:
        raise TrackingError(f"MLflow at {store.display_uri}: no run of {experiment} has been evaluated yet")
    if json:
        tables = [
            {
                "run": comparison.run,
                "run_id": comparison.run_id,
                "status": comparison.status,
                "kind": comparison.kind,
                "columns": list(comparison.report.columns),
                "rows": [row_json(row) for row in comparison.report.rows],
                "protocol": dict(comparison.report.protocol),
            }
            for comparison in comparisons
        ]
        print(jsonlib.dumps({"experiment": experiment, "store": store.display_uri, "tables": tables}, indent=1))
        return
    console = Console()
    for comparison in comparisons:
        title = f"{comparison.run}: {comparison.kind} ({comparison.status.lower()})"
        console.print(title, style="bold", markup=False, highlight=False)
        report = comparison.report
        if comparison.kind == "evaluation":
            show_report(report, console)
        else:
            groups = {row.label: series.label for series in series_of(report) for row in series.rows}
            show_report(report, console, groups, frontier(report))


def _compare_models(places: list[str], options: dict[str, Any], tracking_uri: str | None, *, json: bool) -> None:
    """Compare several models; `options` are further arguments of `noisette.comparison.ModelComparison.of`."""
    from noisette.comparison import ModelComparison
    from noisette_flows.display.report import model_facts, show_models
    from noisette_flows.tracking import Store, catch_up
    from noisette_flows.tracking.reports import send_model_comparison

    console, store = console_for_progress(), Store.of(tracking_uri)
    comparison = ModelComparison.of(places, **options)
    before = _sample_missing(comparison, console, tracking_uri)
    result, experiment = comparison.write_report(), ""
    if store is not None:
        for sweep in before:
            catch_up(sweep.trained, sweep.run, store, {})
        experiment = log_or_warn(partial(send_model_comparison, result, store), store)
    if json:
        print(jsonlib.dumps(model_facts(result, store, experiment), indent=1))
    else:
        show_models(result, store, experiment, Console())


def _sample_missing(comparison: ModelComparison, console: Console, tracking_uri: str | None) -> list[Sweep]:
    """Run the sweep of each model, a flow run each; return the sweeps that were finished before."""
    before = []
    for (name, sweep), options in zip(comparison.sweeps.items(), comparison.sweep_arguments, strict=True):
        done = sweep.finished()
        announcement = f"{name}: {len(sweep.samplers)} samplings of {sweep.experiment.sampling.num_images} images"
        announcement += ": finished before, skipped" if done is not None else ""
        console.print(announcement, markup=False, highlight=False, soft_wrap=True)
        if done is not None:
            before.append(sweep)
        else:
            sweep.write_request()
            parameters = {key: value or None for key, value in options.items() if key != "place"}
            run_flow("compare_samplers", {"checkpoint": options["place"], **parameters}, console, tracking_uri)
    return before


_STEPS = ",".join(map(str, DEFAULT_STEPS))

Models = Annotated[
    list[str],
    typer.Argument(
        metavar="CHECKPOINT...",
        help="Checkpoint's directory, run's directory (its newest checkpoint), or YAML file of a trained "
        "experiment. Several are compared with one another.",
        show_default=False,
    ),
]
Samplers = Annotated[
    str,
    typer.Option(
        "--samplers",
        metavar="LIST",
        help="Samplers, such as ddim,heun,ddpm:variance=fixed-large. Default: all that are installed.",
        show_default=False,
    ),
]
Steps = Annotated[
    str,
    typer.Option(
        "--steps",
        metavar="LIST",
        help=f"Numbers of sampling steps, at most the trained ones. Default: {_STEPS}; several models: those of "
        "their samplers.",
        show_default=False,
    ),
]
NumImages = Annotated[int, typer.Option("--num-images", min=1, help="Images of each sampler and number of steps.")]
Output = Annotated[
    str | None,
    typer.Option("--output", "-o", help="Folder of all results. Default: the run's, or runs.", show_default=False),
]


def compare(
    checkpoints: Models,
    samplers: Samplers = "",
    steps: Steps = "",
    num_images: NumImages = 500,
    features: Features = "",
    metrics: Metrics = "",
    settings: Set = None,
    output: Output = None,
    json: AsJson = False,
    tracking_uri: TrackingUri = None,
) -> None:
    """Compare the samplers of a trained model: quality against network calls and seconds.

    Several models are compared with one another, each with its own samplers unless --samplers is given, with a test
    of which differences are significant. Finished parts are skipped.
    """
    options: dict[str, Any] = {
        "samplers": split_samplers(samplers),
        "steps": _parse_steps(steps or ("" if len(checkpoints) > 1 else _STEPS)),
        "num_images": num_images,
        "overrides": parse_settings(settings),
        "output": output,
        **evaluation_options(features, metrics),
    }
    if len(checkpoints) > 1:
        _compare_models(checkpoints, options, tracking_uri, json=json)
    else:
        _compare_samplers(checkpoints[0], options, tracking_uri, json=json)


def _compare_samplers(place: str, options: dict[str, Any], tracking_uri: str | None, *, json: bool) -> None:
    """Compare the samplers of one model; `options` are further arguments of `noisette.comparison.Sweep.of`."""
    from noisette.comparison import Sweep
    from noisette_flows.display.report import show_sweep, sweep_facts
    from noisette_flows.tracking import Store, catch_up

    if Path(place).is_file():
        FlowRequest(place, options["overrides"], options["output"] or "runs").stages()  # names missing packages
    sweep, console = Sweep.of(place, **options), console_for_progress()
    store, sweep_result = Store.of(tracking_uri), sweep.finished()
    skipped = [sampler.label for sampler in sweep.samplers if sweep.samples_of(sampler)]
    console.print(
        _announcement(sweep, len(skipped), sweep_result is not None), markup=False, highlight=False, soft_wrap=True
    )
    if sweep_result is None:
        sweep.write_request()
        parameters = {key: value or None for key, value in options.items()}
        run_flow("compare_samplers", {"checkpoint": place, **parameters}, console, tracking_uri)
        sweep_result = sweep.finished()
    elif store is not None:
        catch_up(sweep.trained, sweep.run, store, options["overrides"])
    if sweep_result is None:
        raise StorageError(
            f"{sweep.directory}: the comparison was removed while it was made; run the command again"
        )
    if json:
        print(jsonlib.dumps(sweep_facts(sweep, sweep_result, skipped, store), indent=1))
    else:
        show_sweep(sweep, sweep_result, store, Console())


def _parse_steps(text: str) -> list[int]:
    try:
        steps = [int(part) for part in split_samplers(text)]
    except ValueError:
        steps = [0]
    if (text and not steps) or min(steps, default=1) < 1:
        raise ConfigError("--steps", [Problem("", f"expected numbers of steps, such as 5,10,50; got {text!r}")])
    return steps


def _announcement(sweep: Sweep, sampled: int, finished: bool) -> str:
    total = f"{len(sweep.samplers)} samplings of {sweep.experiment.sampling.num_images} images"
    if finished:
        return f"{total}: finished before, skipped ({sweep.directory})"
    return f"{total}; {sampled} of them are finished and skipped"
