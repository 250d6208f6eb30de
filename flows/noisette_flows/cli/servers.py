"""`noisette up` and `noisette down`: Prefect's and MLflow's servers on a workstation."""

from __future__ import annotations

import json as jsonlib
import os
import sys
from dataclasses import asdict
from typing import Annotated

import typer

from noisette_flows.cli.options import AsJson

__all__ = ["down", "up"]


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
    from noisette_flows.serving.bind import BindAddress
    from noisette_flows.serving.servers import Servers
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
    """Return how one signs in."""
    from noisette_flows.serving.background import FOLDER
    from noisette_flows.serving.password import USER

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
    from noisette_flows.serving.bind import is_loopback

    reached = [address for address in listens if not is_loopback(address.rpartition(":")[0])]
    if not reached:
        return []
    return [
        f"Other machines reach {' and '.join(reached)}, with all results and the right to start trainings.",
        "They speak plain HTTP: beyond a network that you trust, put a proxy with TLS before them, or use ssh -L.",
    ]
