"""`noisette up` and `down`: Prefect's and MLflow's servers; `serve` and `deploy`: flows that Prefect starts."""

from __future__ import annotations

import json as jsonlib
import os
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from noisette_flows.cli.options import AsJson, Command, Output, Set, parse_settings

__all__ = ["deploy", "down", "serve", "up"]


def up(
    listen: Annotated[
        str, typer.Option(metavar="ADDRESS", help="Such as 0.0.0.0 for other machines.")
    ] = "127.0.0.1",
    prefect_port: Annotated[int, typer.Option(min=1, max=65535)] = 4200,
    mlflow_port: Annotated[int, typer.Option(min=1, max=65535)] = 5000,
    json: AsJson = False,
) -> None:
    """Start Prefect's and MLflow's servers for the working folder, and leave them running.

    They listen on this machine alone, and ask for a password. What is up stays up. `noisette run` and the like use
    them from now on.
    """
    from noisette_flows.serving.servers import BindAddress, Servers
    from noisette_flows.serving.servers import up as start

    servers = Servers(BindAddress.of(listen), prefect_port, mlflow_port)
    running = start(servers, lambda line: print(line, file=sys.stderr))
    if json:
        print(jsonlib.dumps([asdict(server) for server in running], indent=1))
        return
    for name, server in zip(("Prefect", "MLflow"), running, strict=True):
        print(f"{name:8} {server.url}  (process {server.pid})")
    for line in [*_login_lines(running[0].url), *_exposure_lines([server.listens for server in running])]:
        print(line)


def down(json: AsJson = False) -> None:
    """Stop the servers that `noisette up` started in the working folder."""
    from noisette_flows.serving.servers import down as stop

    stopped = stop()
    if json:
        print(jsonlib.dumps(stopped, indent=1))
        return
    for name, was_up in stopped.items():
        print(f"{name}: {'stopped' if was_up else 'was not up'}")


def _login_lines(prefect: str) -> list[str]:
    from noisette_flows.serving.background import FOLDER, USER

    given = "NOISETTE_PASSWORD" in os.environ
    place, word = ("NOISETTE_PASSWORD", "$NOISETTE_PASSWORD") if given else (FOLDER / "password", "")
    login = f"{USER}:{word or f'$(cat {place})'}"
    return [
        f"Both ask for a password: it is in {place}, and the user is {USER}.",
        f"Prefect's pages want them in one line: echo {login}",
        f"For Prefect's own commands: export PREFECT_API_URL={prefect}/api PREFECT_API_AUTH_STRING={login}",
    ]


def _exposure_lines(listens: list[str]) -> list[str]:
    """Return what a person must know of servers that other machines reach."""
    from noisette_flows.serving.servers import is_loopback

    reached = [address for address in listens if not is_loopback(address.rpartition(":")[0])]
    if not reached:
        return []
    return [
        f"Other machines reach {' and '.join(reached)}, with all results and the right to start trainings.",
        "They speak plain HTTP: beyond a network that you trust, put a proxy with TLS before them, or use ssh -L.",
    ]


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
