"""`noisette average`: choose how long the weights are averaged, after the training."""

from __future__ import annotations

from typing import Annotated

import typer

from noisette_flows.cli.checkpoints import Trained, checkpoint_of
from noisette_flows.cli.options import Output, Set

__all__ = ["average"]


def average(
    trained: Trained,
    length: Annotated[
        float, typer.Option("--length", help="Width of the average as a part of the training, up to 0.28.")
    ] = 0.1,
    settings: Set = None,
    output: Output = "runs",
) -> None:
    """Make a checkpoint whose weights are averaged over another length, from a run's snapshots (EDM2)."""
    checkpoint = checkpoint_of(trained, settings, output)
    from noisette.training.power_ema import averaged

    print(averaged(checkpoint, length).directory)
