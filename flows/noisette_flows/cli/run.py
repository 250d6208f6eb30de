"""`noisette run`: an experiment from its pictures to the comparison."""

from __future__ import annotations

import json as jsonlib
from pathlib import Path

from rich.console import Console

from noisette.layout import training_directory
from noisette_flows.cli.options import AsJson, Config, Output, Set, TrackingUri, overrides_of
from noisette_flows.cli.work import Order

__all__ = ["run"]


def run(
    config: Config,
    settings: Set = None,
    output: Output = "runs",
    json: AsJson = False,
    tracking_uri: TrackingUri = None,
) -> None:
    """Prepare, train, sample and evaluate an experiment, then print the comparison.

    What is finished is skipped; what was stopped goes on where it stopped.
    """
    from noisette_flows.display.result import show
    from noisette_flows.outcome import Outcome
    from noisette_flows.tracking import Store, catch_up

    order = Order(config, overrides_of(settings), output)
    experiment = order.experiment()
    stages = order.stages()
    skipped = order.run("train_and_eval", stages, tracking_uri)
    store = Store.of(tracking_uri)
    if store is not None and len(skipped) == len(stages):
        catch_up(experiment, training_directory(experiment, Path(output)), store, order.overrides)
    outcome = Outcome.of(experiment, Path(output), skipped, store)
    if json:
        print(jsonlib.dumps(outcome.json(), indent=1))
    else:
        show(outcome, Console())
