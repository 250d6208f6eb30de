"""The averaged weights of a network in training: a grid of images, and a model to evaluate."""

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
from noisette.model.model import Model, build_denoiser, labels_for
from noisette.pixels import to_bytes
from noisette.sampling.loop import generate, load_low_res
from noisette.training.distributed import local_shard

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from noisette.training.state import TrainingState

__all__ = ["StoppedError", "sample_preview", "save_preview_grid", "use_ema_weights"]


class StoppedError(Exception):
    """A stop was requested while images are sampled."""


@contextmanager
def use_ema_weights(state: TrainingState, process: Process) -> Iterator[Model]:
    """Yield the network in evaluation mode with its averaged weights; restore it after the block."""
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


def sample_preview(
    model: Model, state: TrainingState, indices: Sequence[int], should_stop: Callable[[], bool]
) -> Tensor:
    """Return images of the experiment's first sampler, uint8 (N, C, H, W) on the CPU.

    They are the first images of the sampling stage, if the training ended at this step.

    Raises:
        StoppedError: as soon as `should_stop` returns True.
    """
    experiment = state.experiment
    sampler = experiment.sampling.samplers[0]
    labels = labels_for(model, experiment.sampling, indices)
    low_res = load_low_res(model, state.data, indices)
    denoise = _StoppableDenoiser(
        build_denoiser(model, sampler, labels, experiment.sampling.clip_x0, low_res), should_stop
    )
    return to_bytes(generate(denoise, sampler, model.shape, indices, experiment.seed, model.machine.device)).cpu()


class _StoppableDenoiser(Denoiser):
    """A denoiser that raises `StoppedError` once `should_stop` returns True."""

    def __init__(self, denoise: Denoiser, should_stop: Callable[[], bool]) -> None:
        self.denoise, self.process, self.should_stop = denoise, denoise.process, should_stop

    def __call__(self, x_t: Tensor, t: int) -> Prediction:
        """Return the inner prediction."""
        if self.should_stop():
            raise StoppedError
        return self.denoise(x_t, t)


_ROWS = 8


def save_preview_grid(
    state: TrainingState, process: Process, directory: Path, should_stop: Callable[[], bool]
) -> Path | None:
    """Sample eight rows of images with the averaged weights and save them as a PNG file; return its path.

    Returns None, without a file, if a stop is requested meanwhile.

    Raises:
        StorageError: if it cannot be written.
    """
    with use_ema_weights(state, process) as model:
        columns = choose_grid_columns(len(model.classes) if state.experiment.sampling.labels == "balanced" else 0)
        try:
            images = sample_preview(model, state, range(_ROWS * columns), should_stop)
        except StoppedError:
            return None
    path = directory / "grids" / f"step-{state.step:08d}.png"
    return save_png(make_grid(images.numpy(), columns), path) if state.group.is_main else path
