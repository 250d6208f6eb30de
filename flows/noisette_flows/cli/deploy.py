"""`noisette serve` and `noisette deploy`: flows that Prefect's pages, command and schedules start."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from noisette_flows.cli.options import Command, Output, Set, parse_settings

__all__ = ["deploy", "serve"]

deploy = typer.Typer(name="deploy", help="Start flows of `noisette serve` and of workers.", no_args_is_help=True)

Gpus = Annotated[
    int | None,
    typer.Option(
        min=1,
        envvar="NOISETTE_GPUS",
        help="How many flow runs compute at once on this machine; by default one for each GPU.",
        show_default=False,
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


@deploy.command("run", cls=Command)
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
    """Start a flow, as `prefect deployment run FLOW/local` does; a wrong config or option is refused at once."""
    from noisette_flows.serving import connect

    connect()
    from rich.console import Console

    from noisette_flows.deploying.request import parse_parameters, request

    name, _, given = flow.partition("/")
    flow_parameters = parse_parameters(parameters or [])
    if settings:
        flow_parameters["overrides"] = {**flow_parameters.get("overrides", {}), **parse_settings(settings)}
    if not request(name, given or deployment, flow_parameters, watch, Console()):
        sys.exit(1)


@deploy.command("setup", cls=Command)
def setup() -> None:
    """Install the automations of deployments on the server, for work pools; `noisette serve` does so itself."""
    from noisette_flows.serving import connect

    connect()
    from noisette_flows.deploying.automations import AUTOMATION, install_automation
    from noisette_flows.deploying.serve import require_server

    require_server()
    install_automation()
    print(f'installed: the automation "{AUTOMATION}"')
