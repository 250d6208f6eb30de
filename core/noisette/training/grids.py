"""The grid of samples that is drawn while a network trains."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from noisette.diffusion.tables import Tables
from noisette.pictures import columns_of, grid, save_png
from noisette.sampling.draw import draw, to_bytes
from noisette.sampling.stack import stacked
from noisette.training.model import Model

if TYPE_CHECKING:
    from noisette.training.state import TrainingState

__all__ = ["draw_grid"]

_ROWS = 8


def draw_grid(state: TrainingState, tables: Tables, directory: Path) -> Path:
    """Draw eight rows with the experiment's first sampler and the averaged weights; return the PNG's path.

    The pictures are those that the sampling stage would begin with, had the training ended here.
    """
    experiment, machine = state.experiment, state.machine
    sampler = experiment.sampling.samplers[0]
    with _evaluating(state):
        model = Model(state.network, experiment.objective, tables, state.data.shape, state.classes, machine)
        columns = columns_of(len(model.classes) if experiment.sampling.labels == "balanced" else 0)
        indices = range(_ROWS * columns)
        denoise = stacked(model, sampler, experiment.sampling, indices)
        drawn = draw(denoise, sampler, model.shape, indices, experiment.seed, machine.device)
    path = directory / "grids" / f"step-{state.step:08d}.png"
    return save_png(grid(to_bytes(drawn).cpu().numpy(), columns), path)


@contextmanager
def _evaluating(state: TrainingState) -> Iterator[None]:
    """Put the network in evaluation mode with the averaged weights; then give it back its own."""
    parameters: list[Tensor] = list(state.network.parameters())
    own = [parameter.detach().clone() for parameter in parameters]
    state.network.eval()
    try:
        if state.ema is not None:
            with torch.no_grad():
                torch._foreach_copy_(parameters, state.ema.weights)
        yield
    finally:
        with torch.no_grad():
            torch._foreach_copy_(parameters, own)
        state.network.train()
