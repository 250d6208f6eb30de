"""`noisette register`: a trained model into MLflow's registry."""

from __future__ import annotations

import json as jsonlib
import shlex
import shutil
import sys
from pathlib import Path
from typing import Annotated

import typer

from noisette import ConfigError
from noisette.errors import Problem
from noisette_flows.cli.checkpoints import Trained, checkpoint_of
from noisette_flows.cli.options import AsJson, Output, Set, TrackingUri

__all__ = ["register"]


def register(
    trained: Trained,
    name: Annotated[
        str | None,
        typer.Option("--name", help="Of the model. Default: the experiment's name.", show_default=False),
    ] = None,
    alias: Annotated[str, typer.Option("--alias", help="Stands for this version from now on.")] = "current",
    settings: Set = None,
    output: Output = "runs",
    json: AsJson = False,
    tracking_uri: TrackingUri = None,
) -> None:
    """Make a trained model a version in MLflow's registry, from which `mlflow models serve` draws pictures."""
    from noisette_flows.environment import set_defaults
    from noisette_flows.tracking import Store

    checkpoint = checkpoint_of(trained, settings, output)
    store = Store.of(tracking_uri)
    if store is None:
        raise ConfigError("tracking URI", [Problem("", 'expected a store to register in; got "off"')])
    set_defaults()
    from noisette_flows.registering import register as registered

    made = registered(checkpoint, store, name or checkpoint.about["experiment"]["name"], alias)
    if json:
        facts = {"name": made.name, "version": made.version, "alias": made.alias, "new": made.new, "uri": made.uri}
        print(jsonlib.dumps({**facts, "checkpoint": str(checkpoint.directory), "store": store.shown}, indent=1))
        return
    said = "" if made.new else " (it was there before)"
    print(f"{made.name} version {made.version}{said}: {checkpoint.directory}")
    print(f"\n{_path()}MLFLOW_TRACKING_URI={store.shown} \\")
    print(f"  mlflow models serve -m {made.uri} --env-manager local --port 5001")


def _path() -> str:
    """Return the setting of PATH in which `mlflow models serve` finds uvicorn; empty if it does already."""
    ours = Path(sys.executable).parent
    found = shutil.which("uvicorn")
    if found is not None and Path(found).parent.resolve() == ours.resolve():
        return ""
    return f"PATH={shlex.quote(str(ours))}:$PATH "
