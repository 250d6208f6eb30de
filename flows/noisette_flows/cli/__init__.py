"""The `noisette` command. Torch, Prefect and MLflow are imported only when a stage really runs."""

from __future__ import annotations

import signal
import sys
import traceback
from collections.abc import Callable
from types import FrameType
from typing import NoReturn

import typer

from noisette import NoisetteError
from noisette_flows.cli.averaging import average
from noisette_flows.cli.begun import edit, interpolate
from noisette_flows.cli.checking import check_plugin
from noisette_flows.cli.compare import compare
from noisette_flows.cli.deploy import deploy, serve
from noisette_flows.cli.exchange import export_, import_
from noisette_flows.cli.filling import inpaint, upscale
from noisette_flows.cli.plugins import plugins
from noisette_flows.cli.process import forward, process
from noisette_flows.cli.registering import register
from noisette_flows.cli.run import run
from noisette_flows.cli.scaffolding import new_plugin
from noisette_flows.cli.schema import schema
from noisette_flows.cli.servers import down, up
from noisette_flows.cli.stages import evaluate, pictures, prepare, sample, train

__all__ = ["app", "main"]

app = typer.Typer(
    name="noisette",
    help="Diffusion models from pictures to a comparison you can trust, every part a plugin.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
_PICTURES, _SERVERS = "Pictures", "Servers"
_COMMANDS: dict[str, dict[str, Callable[..., None]]] = {
    "Experiments": {
        "run": run,
        "prepare": prepare,
        "train": train,
        "sample": sample,
        "evaluate": evaluate,
        "compare": compare,
        "schema": schema,
    },
    _PICTURES: {
        "pictures": pictures,
        "forward": forward,
        "edit": edit,
        "interpolate": interpolate,
        "inpaint": inpaint,
        "upscale": upscale,
    },
    "Models": {"average": average, "register": register, "export": export_, "import": import_},
    _SERVERS: {"up": up, "down": down, "serve": serve},
}
for panel, commands in _COMMANDS.items():
    for name, command in commands.items():
        app.command(name, rich_help_panel=panel)(command)
plugins.command("check")(check_plugin)
plugins.command("new")(new_plugin)
app.add_typer(process, name="process", rich_help_panel=_PICTURES)
app.add_typer(deploy, name="deploy", rich_help_panel=_SERVERS)
app.add_typer(plugins, name="plugins", rich_help_panel="Plugins")

_BUG = "This is a bug in noisette or in a plugin. Please report it with the lines above."


def main() -> None:
    """Run the command; exit with 0, 2 (the user's mistake), 130 or 143 (stopped), 1 (a bug)."""
    signal.signal(signal.SIGTERM, _terminate)
    try:
        app()
    except NoisetteError as error:
        print(error, file=sys.stderr)
        sys.exit(2)
    except Exception:
        traceback.print_exc()
        print(_BUG, file=sys.stderr)
        sys.exit(1)


def _terminate(number: int, frame: FrameType | None) -> NoReturn:
    sys.exit(128 + number)
