"""The averaged weights of a network in training: a grid of images from them, and a model to be evaluated."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from noisette.diffusion.denoiser import Denoiser
from noisette.diffusion.prediction import Prediction
from noisette.diffusion.process import Process
from noisette.images import choose_grid_columns, make_grid, save_png
from noisette.model.denoiser import build_denoiser
from noisette.model.model import Model
from noisette.pixels import to_bytes
from noisette.sampling.loop import generate
from noisette.sampling.low_res import load_low_res
from noisette.training.distributed import local_shard
from noisette.training.stop import Stop

if TYPE_CHECKING:
    from collections.abc import Sequence

    from noisette.training.state import TrainingState

__all__ = ["StoppedError", "sample_preview", "save_preview_grid", "use_ema_weights"]


class StoppedError(Exception):
    """A stop was asked for in the middle of a walk."""


@contextmanager
def use_ema_weights(state: TrainingState, process: Process) -> Iterator[Model]:
    """Give the network in evaluation mode with its averaged weights; then put it back as it was."""
    parameters = [local_shard(parameter.detach()) for parameter in state.network.parameters()]
    own = [parameter.clone() for parameter in parameters]
    state.network.eval()
    try:
        if state.ema is not None:
            with torch.no_grad():
                torch._foreach_copy_(parameters, [local_shard(weight) for weight in state.ema.weights])
        objective, shape = state.experiment.objective, state.data.shape
        yield Model(state.network, objective, process, shape, state.classes, state.machine, state.conditioning)
    finally:
        with torch.no_grad():
            torch._foreach_copy_(parameters, own)
        state.network.train()


def sample_preview(model: Model, state: TrainingState, indices: Sequence[int], stop: Stop) -> Tensor:
    """Return the images that the sampling stage would begin with, had the training ended here.

    They are those of the experiment's first sampler, uint8 (N, C, H, W) on the CPU.

    Raises:
        StoppedError: if a stop is asked for meanwhile; a long walk does not hold it up.
    """
    experiment = state.experiment
    sampler = experiment.sampling.samplers[0]
    low_res = load_low_res(model, state.data, indices)
    denoise = _StoppableDenoiser(build_denoiser(model, sampler, experiment.sampling, indices, low_res), stop)
    return to_bytes(generate(denoise, sampler, model.shape, indices, experiment.seed, model.machine.device)).cpu()


class _StoppableDenoiser(Denoiser):
    """A denoiser that gives up when a stop is asked for."""

    def __init__(self, denoise: Denoiser, stop: Stop) -> None:
        self.denoise, self.process, self.stop = denoise, denoise.process, stop

    def __call__(self, x_t: Tensor, t: int) -> Prediction:
        """Return the inner prediction."""
        if self.stop:
            raise StoppedError
        return self.denoise(x_t, t)


_ROWS = 8


def save_preview_grid(state: TrainingState, process: Process, directory: Path, stop: Stop) -> Path | None:
    """Draw eight rows with the experiment's first sampler and the averaged weights; return the PNG's path.

    None if a stop was asked for meanwhile: the grid is given up then.

    Raises:
        StorageError: if it cannot be written.
    """
    with use_ema_weights(state, process) as model:
        columns = choose_grid_columns(len(model.classes) if state.experiment.sampling.labels == "balanced" else 0)
        try:
            images = sample_preview(model, state, range(_ROWS * columns), stop)
        except StoppedError:
            return None
    path = directory / "grids" / f"step-{state.step:08d}.png"
    return save_png(make_grid(images.numpy(), columns), path) if state.group.is_main else path
