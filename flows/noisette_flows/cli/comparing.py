"""`noisette compare A B ...`: several trained models side by side."""

from __future__ import annotations

import json as jsonlib
from functools import partial
from typing import TYPE_CHECKING, Any

from rich.console import Console

from noisette_flows.cli.reaching import logged
from noisette_flows.cli.work import console_for_progress, start

if TYPE_CHECKING:
    from noisette.sweep import Contest, Sweep

__all__ = ["compare_several"]


def compare_several(places: list[str], options: dict[str, Any], tracking_uri: str | None, *, json: bool) -> None:
    """Draw from each model, judge all, and show them beside one another; what is finished is skipped.

    Args:
        places: checkpoints, runs or YAML files.
        options: further arguments of `noisette.sweep.Contest.of`.
        tracking_uri: MLflow store.
        json: whether to print JSON instead of a table.
    """
    from noisette.sweep import Contest
    from noisette_flows.display.contest import facts, show
    from noisette_flows.tracking import Store, catch_up
    from noisette_flows.tracking.contests import send_contest

    console, store = console_for_progress(), Store.of(tracking_uri)
    contest = Contest.of(places, **options)
    before = _drawn(contest, console, tracking_uri)
    decided, experiment = contest.decide(), ""
    if store is not None:
        for sweep in before:
            catch_up(sweep.trained, sweep.run, store, {})
        experiment = logged(partial(send_contest, decided, store), store)
    if json:
        print(jsonlib.dumps(facts(decided, store, experiment), indent=1))
    else:
        show(decided, store, experiment, Console())


def _drawn(contest: Contest, console: Console, tracking_uri: str | None) -> list[Sweep]:
    """Finish the sweep of each model, one flow run each; return those that were finished before."""
    before = []
    for (name, sweep), order in zip(contest.sweeps.items(), contest.orders, strict=True):
        done = sweep.finished()
        walks = f"{name}: {len(sweep.samplers)} walks of {sweep.experiment.sampling.count} pictures"
        told = f"{walks}: finished before, skipped" if done is not None else walks
        console.print(told, markup=False, highlight=False, soft_wrap=True)
        if done is not None:
            before.append(sweep)
        else:
            sweep.begin()
            parameters = {key: value or None for key, value in order.items() if key != "place"}
            start("compare_samplers", {"checkpoint": order["place"], **parameters}, console, tracking_uri)
    return before
