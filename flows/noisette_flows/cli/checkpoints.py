"""The trained model that a command works with: a checkpoint, a run, or the config it was trained from."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from noisette.checkpoint import Checkpoint
from noisette.find import find_checkpoint, finished_checkpoint
from noisette_flows.cli.options import overrides_of
from noisette_flows.cli.work import Order

__all__ = ["Trained", "checkpoint_of"]

Trained = Annotated[
    str,
    typer.Argument(
        metavar="CHECKPOINT",
        help="A checkpoint's directory, a run's (its newest checkpoint), or the YAML file of a trained experiment.",
        show_default=False,
    ),
]


def checkpoint_of(place: str, settings: list[str] | None = None, output: str = "runs") -> Checkpoint:
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
    return finished_checkpoint(Order(place, overrides_of(settings), output).experiment(), output, place)
