"""`noisette run`: all stages of an experiment, or figures alone."""

from __future__ import annotations

import json as jsonlib
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from noisette import Experiment
from noisette.layout import run_directory
from noisette.stages import stages_to_redo
from noisette_flows.cli.options import AsJson, Config, Output, Set, TrackingUri, parse_settings
from noisette_flows.cli.runner import FlowRequest

__all__ = ["run"]


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
