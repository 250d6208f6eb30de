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
    bool, typer.Option("--again", help="Do it anew although it is finished; the old result stays until then.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of text.")]
TrackingUri = Annotated[
    str | None,
    typer.Option(
        "--tracking-uri",
        help='MLflow store; "off" for none. Default: MLFLOW_TRACKING_URI, or mlflow.db here.',
        show_default=False,
    ),
]


def parse_settings(settings: list[str] | None) -> dict[str, Any]:
    """Return the changes that `--set` asks for, by path.

    Raises:
        ConfigError: if one is not PATH=VALUE.
    """
    return dict(parse_override(text) for text in settings or [])


Trained = Annotated[
    str,
    typer.Argument(
        metavar="CHECKPOINT",
        help="A checkpoint's directory, a run's (its newest checkpoint), or the YAML file of a trained experiment.",
        show_default=False,
    ),
]


def resolve_checkpoint(place: str, settings: list[str] | None = None, output: str = "runs") -> Checkpoint:
    """Return the checkpoint that a command's argument CHECKPOINT stands for, its hashes verified.

    Args:
        place: the argument.
        settings: what `--set` said; it changes the experiment of a YAML file.
        output: folder of all results, where the run of a YAML file is looked for.

    Raises:
        CheckpointError: if there is none; ConfigError: if the YAML file is not an experiment.
    """
    if not Path(place).is_file():
        return find_checkpoint(place, output, settings or ())
    return finished_checkpoint(
        FlowRequest(place, parse_settings(settings), output).load_experiment(), output, place
    )


class Device(StrEnum):
    """Where networks may compute."""

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
        typer.Option(help="Where networks compute; a GPU if there is one. NOISETTE_DEVICE says the same."),
    ] = None,
) -> None:
    """Take the options that belong to no command."""
    if device is not None:
        os.environ["NOISETTE_DEVICE"] = device  # processes that a stage starts compute there too


class Command(TyperCommand):
    """A command whose required arguments are named as they are everywhere else."""

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
