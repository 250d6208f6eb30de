"""Options that several commands share, and those of `noisette` itself."""

from __future__ import annotations

import os
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

import noisette
from noisette.checkpoint import Checkpoint
from noisette.config.overrides import parse_override
from noisette.find import find_checkpoint, finished_checkpoint
from noisette_flows.cli.runner import FlowRequest

__all__ = [
    "Again",
    "AsJson",
    "Command",
    "Config",
    "Output",
    "Set",
    "TrackingUri",
    "Trained",
    "options",
    "parse_settings",
    "resolve_checkpoint",
]

Config = Annotated[str, typer.Argument(metavar="CONFIG", help="YAML file of the experiment.", show_default=False)]
Set = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="PATH=VALUE", help="Change the config, such as training.steps=500; repeatable."),
]
Output = Annotated[str, typer.Option("--output", "-o", help="Folder of all results.")]
Again = Annotated[
    bool,
    typer.Option(
        "--again", help="Run a finished stage again; the old result is kept until the new one is complete."
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of text.")]
TrackingUri = Annotated[
    str | None,
    typer.Option(
        "--tracking-uri",
        help='MLflow store, or "off". Default: MLFLOW_TRACKING_URI, or mlflow.db in this folder.',
        show_default=False,
    ),
]


def parse_settings(settings: list[str] | None) -> dict[str, Any]:
    """Return the changes of `--set`, by path.

    Raises:
        ConfigError: if one is not PATH=VALUE.
    """
    return dict(parse_override(text) for text in settings or [])


Trained = Annotated[
    str,
    typer.Argument(
        metavar="CHECKPOINT",
        help="Checkpoint's directory, run's directory (newest checkpoint), or YAML file of a trained experiment.",
        show_default=False,
    ),
]


def resolve_checkpoint(place: str, settings: list[str] | None = None, output: str = "runs") -> Checkpoint:
    """Return the checkpoint of a command's argument CHECKPOINT, its hashes verified.

    Args:
        place: the argument.
        settings: values of `--set`, for the experiment of a YAML file.
        output: folder of all results, with the run of a YAML file.

    Raises:
        CheckpointError: if there is none; ConfigError: if the YAML file is not an experiment.
    """
    if not Path(place).is_file():
        return find_checkpoint(place, output, settings or ())
    return finished_checkpoint(FlowRequest(place, parse_settings(settings), output).experiment, output, place)


class Device(StrEnum):
    """Devices for networks."""

    CPU = "cpu"
    CUDA = "cuda"


def _show_version(requested: bool) -> None:
    if requested:
        print(f"noisette {noisette.__version__}")
        raise typer.Exit


def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
    device: Annotated[
        Device | None,
        typer.Option(
            help="Device for networks. Default: NOISETTE_DEVICE, or a GPU if there is one.", show_default=False
        ),
    ] = None,
) -> None:
    """Take the options of `noisette` itself."""
    if device is not None:
        os.environ["NOISETTE_DEVICE"] = device  # for processes that a stage starts too


class Command(TyperCommand):
    """A command that shows its arguments without braces."""

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """Return the words of the usage line."""
        return [_plain_metavar(piece) for piece in super().collect_usage_pieces(ctx)]


def _plain_metavar(piece: str) -> str:
    if piece.startswith("{"):
        name, _, more = piece[1:].rpartition("}")
        return name if "..." in name or " " in name else name + more
    if piece.startswith("[["):
        return piece[1:-1]
    return piece.removesuffix("...") if piece.endswith("...]...") else piece
