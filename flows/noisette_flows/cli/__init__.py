"""The `noisette` command. Torch, Prefect and MLflow are imported only when a stage really runs."""

from __future__ import annotations

import errno
import signal
import sys
import traceback
from collections.abc import Callable
from types import FrameType
from typing import NoReturn

import typer

from noisette import NoisetteError
from noisette.training.stop import STOP_SIGNALS
from noisette_flows.cli.compare import compare, show
from noisette_flows.cli.configs import check, schema
from noisette_flows.cli.evaluate_folders import evaluate_folders
from noisette_flows.cli.figure import figure
from noisette_flows.cli.models import ema, export_, import_, register
from noisette_flows.cli.options import Command, options
from noisette_flows.cli.plugins import check_plugin, new_plugin, plugins
from noisette_flows.cli.runs import runs
from noisette_flows.cli.sample import sample
from noisette_flows.cli.servers import deploy, down, serve, up
from noisette_flows.cli.stages import evaluate, figures, prepare, run, train
from noisette_flows.cli.streams import lossy_streams

__all__ = ["app", "main"]

app = typer.Typer(
    name="noisette",
    help="Diffusion models from images to a comparison you can trust, every part a plugin.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.callback()(options)
_EXPERIMENTS, _SERVERS = "Experiments", "Servers"
_COMMANDS: dict[str, dict[str, Callable[..., None]]] = {
    _EXPERIMENTS: {
        "run": run,
        "check": check,
        "prepare": prepare,
        "train": train,
        "sample": sample,
        "evaluate": evaluate,
        "evaluate-folders": evaluate_folders,
        "compare": compare,
        "show": show,
        "figures": figures,
        "schema": schema,
    },
    "Models": {"ema": ema, "register": register, "export": export_, "import": import_},
    _SERVERS: {"up": up, "down": down, "serve": serve},
}
for panel, commands in _COMMANDS.items():
    for name, command in commands.items():
        app.command(name, cls=Command, rich_help_panel=panel)(command)
plugins.command("check", cls=Command)(check_plugin)
plugins.command("new", cls=Command)(new_plugin)
app.add_typer(runs, name="runs", rich_help_panel=_EXPERIMENTS)
app.add_typer(figure, name="figure", rich_help_panel=_EXPERIMENTS)
app.add_typer(deploy, name="deploy", rich_help_panel=_SERVERS)
app.add_typer(plugins, name="plugins", rich_help_panel="Plugins")

_ENVIRONMENT_ERRORS = {
    getattr(errno, name)
    for name in (
        "EACCES",
        "EDQUOT",
        "EEXIST",
        "EIO",
        "EISDIR",
        "ELOOP",
        "EMFILE",
        "ENAMETOOLONG",
        "ENFILE",
        "ENOSPC",
        "ENOTDIR",
        "EPERM",
        "EROFS",
        "ESTALE",
    )
}
"""What is wrong with a disk, a path or a machine, and not with a program."""
_PATH_ADVICE = (
    "expected folders and files that this user may use (--output names another); what is finished is kept"
)
_BUG = "This is a bug in noisette. Please report it with the lines above."
_PLUGIN_BUG = "This is a bug in the plugin. Please report it to its authors, with the lines above."


def main() -> None:
    """Run the command; exit with 0, 2 (the user's mistake), 128 + number (stopped by a signal), 1 (a bug)."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:  # as under nohup
            signal.signal(number, _terminate)
    with lossy_streams() as output:
        status = _run()
        for number in STOP_SIGNALS:  # one more while Python ends would replace the exit code
            signal.signal(number, signal.SIG_IGN)
        if output is not None and status == 0 and (reason := output.loss()):
            print(
                f"standard output: cannot be written: {reason}; the results themselves are saved", file=sys.stderr
            )
            status = 2
    sys.exit(status)


def _run() -> int | str | None:
    """Run the command; return its exit code."""
    try:
        app()
    except SystemExit as end:
        return end.code
    except KeyboardInterrupt:  # a second one, while the first was dealt with
        return 128 + signal.SIGINT
    except NoisetteError as error:
        print(error, file=sys.stderr)
        return 2
    except OSError as error:
        if error.errno not in _ENVIRONMENT_ERRORS or error.filename is None:
            return _report_bug(error)
        print(f"{error.filename}: cannot be written or read: {error.strerror}; {_PATH_ADVICE}", file=sys.stderr)
        return 2
    except Exception as error:
        return _report_bug(error)
    return 0


def _report_bug(error: Exception) -> int:
    from noisette.plugins.failures import describe_failure

    traceback.print_exc()
    plugin = describe_failure(error)
    print(f"{plugin}\n{_PLUGIN_BUG}" if plugin else _BUG, file=sys.stderr)
    return 1


def _terminate(number: int, frame: FrameType | None) -> NoReturn:
    sys.exit(128 + number)
