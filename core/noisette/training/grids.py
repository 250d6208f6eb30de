"""The grid of samples that is drawn while a network trains."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from noisette.diffusion.denoiser import Denoiser
from noisette.diffusion.prediction import Prediction
from noisette.diffusion.tables import Tables
from noisette.pictures import columns_of, grid, save_png
from noisette.sampling.draw import draw, to_bytes
from noisette.sampling.hints import hints_of
from noisette.sampling.stack import stacked
from noisette.training.model import Model
from noisette.training.stop import Stop

if TYPE_CHECKING:
    from noisette.training.state import TrainingState

__all__ = ["draw_grid"]

_ROWS = 8


def draw_grid(state: TrainingState, tables: Tables, directory: Path, stop: Stop) -> Path | None:
    """Draw eight rows with the experiment's first sampler and the averaged weights; return the PNG's path.

    The pictures are those that the sampling stage would begin with, had the training ended here. A long walk does
    not hold up a stop: the grid is given up then, and None returned.

    Raises:
        StorageError: if it cannot be written.
    """
    experiment, machine = state.experiment, state.machine
    sampler = experiment.sampling.samplers[0]
    with _evaluating(state):
        model = Model(
            state.network, experiment.objective, tables, state.data.shape, state.classes, machine, state.inputs
        )
        columns = columns_of(len(model.classes) if experiment.sampling.labels == "balanced" else 0)
        indices = range(_ROWS * columns)
        denoise = _Stoppable(
            stacked(model, sampler, experiment.sampling, indices, hints_of(model, state.data, indices)), stop
        )
        try:
            drawn = draw(denoise, sampler, model.shape, indices, experiment.seed, machine.device)
        except _StoppedError:
            return None
    path = directory / "grids" / f"step-{state.step:08d}.png"
    return save_png(grid(to_bytes(drawn).cpu().numpy(), columns), path)


class _StoppedError(Exception):
    """A stop was asked for in the middle of a walk."""


class _Stoppable(Denoiser):
    """A denoiser that gives up when a stop is asked for."""

    def __init__(self, denoise: Denoiser, stop: Stop) -> None:
        self.denoise, self.schedule, self.stop = denoise, denoise.schedule, stop

    def __call__(self, x_t: Tensor, t: int) -> Prediction:
        """Return the inner prediction."""
        if self.stop:
            raise _StoppedError
        return self.denoise(x_t, t)


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
