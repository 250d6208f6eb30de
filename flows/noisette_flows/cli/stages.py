"""`noisette run`, all stages of an experiment; `prepare`, `train`, `figures` and `evaluate`, one each."""

from __future__ import annotations

import json as jsonlib
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from noisette import ConfigError, Experiment
from noisette.errors import Problem
from noisette.layout import run_directory
from noisette.stages import Stage, stages_to_redo
from noisette_flows.cli.evaluate_folders import Features, Metrics, evaluation_options
from noisette_flows.cli.options import (
    Again,
    AsJson,
    Config,
    Output,
    Set,
    TrackingUri,
    parse_settings,
)
from noisette_flows.cli.runner import FlowRequest

__all__ = ["evaluate", "figures", "prepare", "print_stages", "run", "train"]


def run(
    config: Config,
    settings: Set = None,
    output: Output = "runs",
    again: Annotated[
        str,
        typer.Option(
            "--again",
            metavar="STAGE",
            help="Stage to run again, with all that depend on it: prepare, train, sample, figures or evaluate.",
            show_default=False,
        ),
    ] = "",
    json: AsJson = False,
    tracking_uri: TrackingUri = None,
) -> None:
    """Prepare, train, sample and evaluate an experiment, then print the comparison.

    Finished stages are skipped, unless the code of their plugins has changed; stopped ones resume. For a config
    without a data set, make the figures that it lists.
    """
    from noisette_flows.display.report import show_outcome
    from noisette_flows.outcome import Outcome, RunSummary
    from noisette_flows.tracking import Store, catch_up

    request = FlowRequest(config, parse_settings(settings), output)
    loaded = request.config
    stages = request.stages()
    if isinstance(loaded, Experiment):
        skipped = request.run("train_and_eval", stages, tracking_uri, again)
    else:
        skipped = request.run("make_figures", stages, tracking_uri, "figures" in stages_to_redo(again))
    store = Store.of(tracking_uri)
    if store is not None and len(skipped) == len(stages):
        catch_up(loaded, run_directory(loaded, Path(output)), store, request.overrides)
    kind = Outcome if isinstance(loaded, Experiment) else RunSummary
    outcome = kind.of(loaded, Path(output), skipped, store)
    if json:
        print(jsonlib.dumps(outcome.json(), indent=1))
    else:
        show_outcome(outcome, Console())


def prepare(
    config: Config, settings: Set = None, output: Output = "runs", again: Again = False, json: AsJson = False
) -> None:
    """Download the images of an experiment and bring them to one size and colour mode."""
    request = FlowRequest(config, parse_settings(settings), output)
    skipped = request.run("prepare_data", request.stages("prepare"), again=again)
    print_stages(request.stages("prepare"), skipped, json)


def train(
    config: Config,
    settings: Set = None,
    nproc: Annotated[
        int | None,
        typer.Option(
            "--nproc",
            help="Processes to train in, such as one for each GPU. Default: training.processes.",
            show_default=False,
        ),
    ] = None,
    output: Output = "runs",
    again: Again = False,
    json: AsJson = False,
    tracking_uri: TrackingUri = None,
) -> None:
    """Train an experiment's network on its prepared images, or resume its training."""
    processes = {} if nproc is None else {"training.processes": nproc}
    request = FlowRequest(config, parse_settings(settings) | processes, output)
    skipped = request.run("train", request.stages("train"), tracking_uri, again)
    print_stages(request.stages("train"), skipped, json)


def evaluate(
    config: Config,
    features: Features = "",
    metrics: Metrics = "",
    settings: Set = None,
    output: Output = "runs",
    again: Again = False,
    json: AsJson = False,
    tracking_uri: TrackingUri = None,
) -> None:
    """Compare an experiment's generated images with real ones."""
    if Path(config).is_dir():
        raise typer.BadParameter(
            f"{config}: expected an experiment's YAML file; got a folder: to compare it with another, run "
            f"noisette evaluate-folders {config} REAL"
        )
    options = {f"evaluation.{key}": value for key, value in evaluation_options(features, metrics).items()}
    request = FlowRequest(config, parse_settings(settings) | options, output)
    skipped = request.run("evaluate", request.stages("evaluate"), tracking_uri, again)
    (stage,) = request.stages("evaluate")
    if json or stage.directory is None:
        print_stages([stage], skipped, json)
    else:
        _show_report(stage.directory)


def figures(
    config: Config,
    settings: Set = None,
    output: Output = "runs",
    again: Again = False,
    json: AsJson = False,
    tracking_uri: TrackingUri = None,
) -> None:
    """Make the figures that a config lists, with its trained network where they need one."""
    request = FlowRequest(config, parse_settings(settings), output)
    if not request.stages("figures"):
        raise ConfigError(config, [Problem("figures", "expected at least one, such as denoise; got none")])
    skipped = request.run("make_figures", request.stages("figures"), tracking_uri, again)
    print_stages(request.stages("figures"), skipped, json)


def print_stages(stages: Sequence[Stage], skipped: Collection[str], json: bool) -> None:
    """Print the status and directory of stages; `skipped` are the names of those that had finished before."""
    from noisette_flows.outcome import stage_json

    facts = [stage_json(stage, skipped) for stage in stages]
    if json:
        print(jsonlib.dumps({"stages": facts}, indent=1))
        return
    for stage in facts:
        place = f"{stage['directory']}/grid.png" if stage["name"].startswith("sample ") else stage["directory"]
        print(f"{stage['name']}: {stage['status']}  {place}")


def _show_report(directory: Path) -> None:
    from rich.console import Console

    from noisette import Report
    from noisette_flows.display.report import show_report

    show_report(Report.open(directory), Console())
