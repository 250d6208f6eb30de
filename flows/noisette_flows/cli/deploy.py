"""`noisette serve` and `noisette deploy`: flows that Prefect's pages, command and schedules start."""

from __future__ import annotations

import json as jsonlib
import subprocess
import sys
from pathlib import Path
from typing import Annotated

import typer

from noisette_flows.cli.options import Output, Set, overrides_of

__all__ = ["deploy", "serve"]

deploy = typer.Typer(name="deploy", help="Start flows of `noisette serve` and of workers.", no_args_is_help=True)

Gpus = Annotated[
    int | None,
    typer.Option(
        min=1, help="How many trainings may go on at once; 1 if there is no limit yet.", show_default=False
    ),
]


def serve(
    limit: Annotated[int, typer.Option(min=1, help="How many flow runs go on at once.")] = 2,
    gpus: Gpus = None,
    cron: Annotated[
        str | None,
        typer.Option(metavar="WHEN", help='Train by itself, such as "0 2 * * *" for each night at two, UTC.'),
    ] = None,
    config: Annotated[str | None, typer.Option(help="What to train then: a name in configs/ or a path.")] = None,
    output: Output = "runs",
) -> None:
    """Serve the flows, so that Prefect's pages and `noisette deploy run` can start them here.

    Goes on until Ctrl-C. Flow runs that were killed are marked, and go on where they stopped.
    """
    if (cron is None) != (config is None):
        raise typer.BadParameter("--cron and --config belong together")
    from noisette_flows.serving import connect

    connect()
    from noisette_flows.deploying.serve import serve as serve_all

    serve_all(Path(output), limit, gpus, cron, config)


@deploy.command("run")
def run(
    flow: Annotated[str, typer.Argument(metavar="FLOW", help="train-and-eval, compare-samplers or evaluate.")],
    parameters: Annotated[
        list[str] | None,
        typer.Option("--param", "-p", metavar="NAME=VALUE", help="A parameter, such as config=digits; repeatable."),
    ] = None,
    settings: Set = None,
    deployment: Annotated[str, typer.Option(help="Of `noisette serve`: local; of prefect.yaml: pool.")] = "local",
    watch: Annotated[bool, typer.Option(help="Wait for the end; exit with 1 if it fails.")] = False,
) -> None:
    """Start a flow: short for `prefect deployment run FLOW/local`."""
    from noisette_flows.serving import connect

    connect()
    name = flow if "/" in flow else f"{flow}/{deployment}"
    given = [word for parameter in parameters or [] for word in ("-p", parameter)]
    if settings:
        given += ["-p", f"overrides={jsonlib.dumps(overrides_of(settings))}"]
    command = [sys.executable, "-P", "-m", "prefect", "deployment", "run", name, *given]
    sys.exit(subprocess.run([*command, "--watch"] if watch else command, check=False).returncode)


@deploy.command("prepare")
def prepare(gpus: Gpus = None) -> None:
    """Install at the server what deployments count on, for work pools; `noisette serve` does it by itself."""
    from noisette_flows.serving import connect

    connect()
    from noisette_flows.deploying.guard import AUTOMATION, install
    from noisette_flows.deploying.serve import reach

    reach()
    install(gpus)
    print(f'installed: the automation "{AUTOMATION}", and the limit of trainings (tag gpu)')
