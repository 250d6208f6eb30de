"""`noisette compare`: samplers of one trained model, several models, or what MLflow keeps of such comparisons."""

from __future__ import annotations

import json as jsonlib
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from noisette import ConfigError, StorageError
from noisette.comparison.choice import DEFAULT_STEPS, parse_sampler, split_samplers
from noisette.errors import Problem
from noisette_flows.cli.options import AsJson, Set, TrackingUri, parse_settings
from noisette_flows.cli.runner import FlowRequest, console_for_progress, log_or_warn, run_flow

if TYPE_CHECKING:
    from noisette.comparison import ModelComparison, Sweep

__all__ = ["FromMlflow", "compare", "compare_models", "show_history"]

FromMlflow = Annotated[
    str | None,
    typer.Option(
        "--mlflow", metavar="EXPERIMENT", help="Print the tables that MLflow keeps of it.", show_default=False
    ),
]


def show_history(experiment: str, tracking_uri: str | None, json: bool) -> None:
    """Print the comparisons of all runs of an MLflow experiment, newest first.

    Raises:
        ConfigError: without a store; TrackingError: if it does not answer, or has nothing of the kind.
    """
    from noisette.comparison import frontier, series_of
    from noisette_flows.display.report import show_report
    from noisette_flows.outcome import row_json
    from noisette_flows.tracking import Store
    from noisette_flows.tracking.history import TrackingError, load_history

    store = Store.of(tracking_uri)
    if store is None:
        raise ConfigError("--mlflow", [Problem("", 'expected a store to read; got the tracking URI "off"')])
    found = load_history(store, experiment)
    if not found:
        raise TrackingError(f"MLflow at {store.display_uri}: no run of {experiment} has been evaluated yet")
    if json:
        tables = [
            {
                "run": one.run,
                "run_id": one.run_id,
                "status": one.status,
                "what": one.what,
                "columns": list(one.report.columns),
                "rows": [row_json(row) for row in one.report.rows],
                "protocol": dict(one.report.protocol),
            }
            for one in found
        ]
        print(jsonlib.dumps({"experiment": experiment, "store": store.display_uri, "tables": tables}, indent=1))
        return
    console = Console()
    for one in found:
        console.print(f"{one.run}: {one.what} ({one.status.lower()})", style="bold", markup=False, highlight=False)
        if one.what == "evaluation":
            show_report(one.report, console)
        else:
            groups = {row.label: series.label for series in series_of(one.report) for row in series.rows}
            show_report(one.report, console, groups, frontier(one.report))


def compare_models(places: list[str], options: dict[str, Any], tracking_uri: str | None, *, json: bool) -> None:
    """Draw from each model, judge all, and show them beside one another; what is finished is skipped.

    Args:
        places: checkpoints, runs or YAML files.
        options: further arguments of `noisette.comparison.ModelComparison.of`.
        tracking_uri: MLflow store.
        json: whether to print JSON instead of a table.
    """
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
    """Finish the sweep of each model, one flow run each; return those that were finished before."""
    before = []
    for (name, sweep), order in zip(comparison.sweeps.items(), comparison.sweep_arguments, strict=True):
        done = sweep.finished()
        walks = f"{name}: {len(sweep.samplers)} walks of {sweep.experiment.sampling.num_images} images"
        tables = f"{walks}: finished before, skipped" if done is not None else walks
        console.print(tables, markup=False, highlight=False, soft_wrap=True)
        if done is not None:
            before.append(sweep)
        else:
            sweep.write_request()
            parameters = {key: value or None for key, value in order.items() if key != "place"}
            run_flow("compare_samplers", {"checkpoint": order["place"], **parameters}, console, tracking_uri)
    return before


_STEPS = ",".join(map(str, DEFAULT_STEPS))

Models = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="CHECKPOINT...",
        help="A checkpoint's directory, a run's (its newest checkpoint), or the YAML file of a trained experiment; "
        "several are compared with one another.",
        show_default=False,
    ),
]
Samplers = Annotated[
    str,
    typer.Option(
        "--samplers",
        metavar="LIST",
        help="Such as ddim,heun,ddpm:variance=fixed-large. Default: every installed one, and its variants.",
        show_default=False,
    ),
]
Steps = Annotated[
    str,
    typer.Option(
        "--steps",
        metavar="LIST",
        help=f"Steps of the walks; those beyond the trained are left out. Default: {_STEPS}; of several models, "
        "the steps of their samplers.",
        show_default=False,
    ),
]
Count = Annotated[int, typer.Option("--count", min=1, help="Images of each walk.")]
Features = Annotated[
    str | None, typer.Option("--features", help="Judge over these. Default: the experiment's.", show_default=False)
]
Metrics = Annotated[
    str, typer.Option("--metrics", metavar="LIST", help="Default: the experiment's.", show_default=False)
]
Output = Annotated[
    str | None,
    typer.Option(
        "--output", "-o", help="Folder of all results. Default: that of the run, or runs.", show_default=False
    ),
]


def compare(
    checkpoints: Models = None,
    samplers: Samplers = "",
    steps: Steps = "",
    count: Count = 500,
    features: Features = None,
    metrics: Metrics = "",
    settings: Set = None,
    output: Output = None,
    json: AsJson = False,
    tracking_uri: TrackingUri = None,
    mlflow: FromMlflow = None,
) -> None:
    """Measure a trained model's quality against network calls and seconds, sampler by sampler.

    Several models stand side by side, each drawn from by its own samplers unless others are named; it is told which
    differences are larger than their error. Walks that are drawn are skipped; what was stopped goes on.
    """
    if mlflow is not None:
        show_history(mlflow, tracking_uri, json)
        return
    if not checkpoints:
        raise typer.BadParameter("expected a CHECKPOINT, or --mlflow EXPERIMENT")
    evaluation_options = {
        "features": parse_sampler(features) if features else None,
        "metrics": [*map(parse_sampler, split_samplers(metrics))] or None,
    }
    common = {
        "count": count,
        "output": output,
        **evaluation_options,
        "metrics": evaluation_options["metrics"] or (),
    }
    if len(checkpoints) > 1:
        chosen = {"samplers": split_samplers(samplers), "steps": _parse_steps(steps) if steps else (), **common}
        overrides = parse_settings(settings)
        compare_models(checkpoints, {**chosen, "overrides": overrides}, tracking_uri, json=json)
        return
    (checkpoint,) = checkpoints
    from noisette_flows.display.report import show_sweep, sweep_facts
    from noisette_flows.tracking import Store, catch_up

    parameters: dict[str, Any] = {
        "checkpoint": checkpoint,
        "samplers": split_samplers(samplers) or None,
        "steps": _parse_steps(steps or _STEPS),
        "count": count,
        **evaluation_options,
        "overrides": parse_settings(settings) or None,
        "output": output,
    }
    sweep = _build_sweep(parameters)
    console = console_for_progress()
    store, sweep_result = Store.of(tracking_uri), sweep.finished()
    skipped = [sampler.label for sampler in sweep.samplers if sweep.samples_of(sampler)]
    console.print(
        _announcement(sweep, len(skipped), sweep_result is not None), markup=False, highlight=False, soft_wrap=True
    )
    if sweep_result is None:
        sweep.write_request()
        run_flow("compare_samplers", parameters, console, tracking_uri)
        sweep_result = sweep.finished()
    elif store is not None:
        catch_up(sweep.trained, sweep.run, store, parse_settings(settings))
    if sweep_result is None:
        raise StorageError(f"{sweep.directory}: the comparison was removed while it was made; start again")
    if json:
        print(jsonlib.dumps(sweep_facts(sweep, sweep_result, skipped, store), indent=1))
    else:
        show_sweep(sweep, sweep_result, store, Console())


def _build_sweep(parameters: dict[str, Any]) -> Sweep:
    from noisette.comparison import Sweep

    place, overrides, output = (parameters[key] for key in ("checkpoint", "overrides", "output"))
    if Path(place).is_file():  # which knows the packages of missing plugins
        FlowRequest(place, overrides or {}, output or "runs").load_experiment()
    common = {key: value for key, value in parameters.items() if key != "checkpoint" and value is not None}
    return Sweep.of(place, **common)


def _parse_steps(text: str) -> list[int]:
    try:
        lengths = [int(part) for part in split_samplers(text)]
    except ValueError:
        lengths = []
    if not lengths or min(lengths) < 1:
        raise ConfigError("--steps", [Problem("", f"expected numbers of steps, such as 5,10,50; got {text!r}")])
    return lengths


def _announcement(sweep: Sweep, drawn: int, finished: bool) -> str:
    total, count = len(sweep.samplers), sweep.experiment.sampling.num_images
    if finished:
        return f"{total} walks of {count} images: finished before, skipped ({sweep.directory})"
    return f"{total} walks of {count} images; {drawn} of them were drawn before and are skipped"
