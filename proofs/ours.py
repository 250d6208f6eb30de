"""Our side, built from the shipped config: the trainer's own step, and the sampler's own trajectory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any, cast
from unittest.mock import patch

import torch
from PIL import Image
from torch import Tensor, nn

from noisette import Experiment, Model, Prepared, Shape
from noisette.contracts import Sampler
from noisette.data.transform import to_uniform
from noisette.diffusion.noise import derive_seed
from noisette.machine import Machine
from noisette.model.model import build_denoiser
from noisette.pixels import to_unit
from noisette.training.batches import TrainingBatch
from noisette.training.state import TrainingState
from noisette.training.step import Stepper

__all__ = ["MNIST_IMAGES", "Training", "preprocess", "replay_noise", "sample", "seed_dropout"]

_MACHINE = Machine(torch.device("cpu"), autocast=None, channels_last=False)
MNIST_IMAGES = 60_000
"""For the recipes whose learning rate depends on the number of training images."""


class Training:
    """The trainer of an experiment without data: `step` takes the batches that it is given.

    Args:
        experiment: the experiment.
        shape: of the images.
        weights: those that training begins with; None for the experiment's own.

    Attributes:
        state: the trainer's, with network, optimizer and averaged weights.
    """

    def __init__(self, experiment: Experiment, shape: Shape, weights: dict[str, Tensor] | None = None) -> None:
        classes = tuple(map(str, range(10))) if experiment.training.class_conditional else ()
        data = cast(Prepared, SimpleNamespace(shape=shape, classes=classes, count=lambda split: MNIST_IMAGES))
        self.state = TrainingState(experiment, data, _MACHINE)
        if weights is not None:
            self.network.load_state_dict(weights)
            for ema in self.state.emas.values():
                ema.load(dict(self.network.named_parameters()))
        self._stepper = Stepper(self.state, experiment.schedule.process(experiment.timesteps))

    @property
    def network(self) -> nn.Module:
        """The network in training mode."""
        return self.state.network

    def step(self, x0: Tensor, t: Tensor, eps: Tensor, label: Tensor | None = None) -> Tensor:
        """Take an optimizer step on a batch; return its loss. The gradients, clipped, stay in the parameters."""
        self._stepper(TrainingBatch(x0, t, eps, label))
        return torch.tensor(self._stepper.losses.pop_means()["loss"])

    def gradients(self) -> dict[str, Tensor]:
        """Return the last step's gradients by the parameters' names."""
        return {name: cast(Tensor, p.grad).clone() for name, p in self.network.named_parameters()}

    def weights(self) -> dict[str, Tensor]:
        """Return copies of the weights by their names."""
        return {name: p.detach().clone() for name, p in self.network.named_parameters()}


def seed_dropout(experiment: Experiment, step: int) -> None:
    """Seed torch's generator as the trainer does before a step, counted from 0."""
    torch.manual_seed(derive_seed(experiment.seed, "dropout", step))


def sample(
    experiment: Experiment,
    sampler: Sampler,
    weights: dict[str, Tensor],
    start: Tensor,
    noises: Sequence[Tensor],
    labels: Tensor | None = None,
) -> list[Tensor]:
    """Return the states of a sampler's trajectory from `start`, (N, C, H, W), with the given noises."""
    shape, classes = cast(Shape, tuple(start.shape[1:])), 10 if experiment.training.class_conditional else 0
    network = experiment.backbone.build(shape, classes, shape[0])
    network.load_state_dict(weights)
    process = experiment.schedule.process(experiment.timesteps)
    names = tuple(map(str, range(classes)))
    model = Model(network.eval(), experiment.objective, process, shape, names, _MACHINE)
    denoise = build_denoiser(model, sampler, labels, experiment.sampling.clip_x0)
    remaining = iter(noises)
    with torch.inference_mode():
        return list(sampler.trajectory(denoise, start, cast(Any, lambda: next(remaining))))


def preprocess(experiment: Experiment, image: Image.Image) -> Tensor:
    """Return an image as training sees it, (C, H, W)."""
    return to_unit(torch.tensor(to_uniform(image, experiment.preparation)))


@contextmanager
def replay_noise(*noises: Tensor) -> Iterator[None]:
    """Let `torch.randn` and `torch.randn_like` return the given noises, one after another."""
    remaining = iter(noises)

    def next_noise(*_: Any, **__: Any) -> Tensor:
        return next(remaining)

    with patch("torch.randn", next_noise), patch("torch.randn_like", next_noise):
        yield
