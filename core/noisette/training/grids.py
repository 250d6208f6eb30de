"""The grid of samples that is drawn while a network trains."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from noisette.diffusion.tables import Tables
from noisette.pictures import columns_of, grid, save_png
from noisette.training.lending import StoppedError, drawn, lent
from noisette.training.stop import Stop

if TYPE_CHECKING:
    from noisette.training.state import TrainingState

__all__ = ["draw_grid"]

_ROWS = 8


def draw_grid(state: TrainingState, tables: Tables, directory: Path, stop: Stop) -> Path | None:
    """Draw eight rows with the experiment's first sampler and the averaged weights; return the PNG's path.

    None if a stop was asked for meanwhile: the grid is given up then.

    Raises:
        StorageError: if it cannot be written.
    """
    with lent(state, tables) as model:
        columns = columns_of(len(model.classes) if state.experiment.sampling.labels == "balanced" else 0)
        try:
            pictures = drawn(model, state, range(_ROWS * columns), stop)
        except StoppedError:
            return None
    path = directory / "grids" / f"step-{state.step:08d}.png"
    return save_png(grid(pictures.numpy(), columns), path) if state.group.is_first else path
