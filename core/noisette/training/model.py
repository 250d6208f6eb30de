"""A trained model: the network of a checkpoint with what is needed to sample from it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor, nn

from noisette.contracts import Backbone, Objective, Schedule, Shape
from noisette.diffusion.denoiser import NetworkDenoiser
from noisette.diffusion.tables import Tables
from noisette.errors import CheckpointError
from noisette.machine import Machine
from noisette.storage import read_tensors
from noisette.training.stored import stored_plugin

if TYPE_CHECKING:
    from noisette.checkpoint import Checkpoint

__all__ = ["Model", "build_network", "load_weights"]


@dataclass(frozen=True)
class Model:
    """A network in evaluation mode, with its objective and tables.

    Attributes:
        network: on the machine's device.
        objective: how its output is read.
        tables: the process it was trained on.
        shape: channels, height and width of its pictures.
        classes: names of its labels; empty for a network without.
        machine: where it computes.
    """

    network: nn.Module
    objective: Objective
    tables: Tables
    shape: Shape
    classes: tuple[str, ...]
    machine: Machine

    @classmethod
    def load(cls, checkpoint: Checkpoint, *, ema: bool = True, machine: Machine | None = None) -> Model:
        """Load a checkpoint's network; `ema` takes the averaged weights where there are some.

        Raises:
            CheckpointError: if it is damaged, a plugin it needs is missing, or its weights do not fit the network.
        """
        machine = machine or Machine.here()
        checkpoint = checkpoint.verified()
        about = checkpoint.about
        shape = cast(Shape, tuple(about["shape"]))
        classes = tuple(about["classes"]) if about["experiment"]["training"]["labels"] else ()
        schedule = cast(Schedule, stored_plugin(checkpoint, "schedule"))
        objective = cast(Objective, stored_plugin(checkpoint, "objective"))
        with torch.random.fork_rng():  # the first weights are drawn, then replaced
            network = build_network(
                cast(Backbone, stored_plugin(checkpoint, "backbone")), objective, shape, len(classes)
            )
        averaged = ema and "ema.safetensors" in checkpoint.manifest.files
        load_weights(network, checkpoint.directory / ("ema.safetensors" if averaged else "network.safetensors"))
        network = machine.place(network.eval().requires_grad_(False))
        tables = Tables.of(schedule, about["experiment"]["timesteps"])
        return cls(network, objective, tables, shape, classes, machine)

    def denoiser(self, label: Tensor | None = None) -> NetworkDenoiser:
        """Return the denoiser that samplers call, for pictures of the given classes, (N,) int64."""
        return NetworkDenoiser(self.network, self.objective, self.tables, label, self.machine.autocast)


def build_network(backbone: Backbone, objective: Objective, shape: Shape, classes: int) -> nn.Module:
    """Build an untrained network with as many output channels as the objective needs."""
    return backbone.build(shape, classes, shape[0] * objective.outputs)


def load_weights(network: nn.Module, path: Path) -> None:
    """Load weights into a network.

    Raises:
        CheckpointError: if names or shapes do not fit.
    """
    state = read_tensors(path)
    try:
        network.load_state_dict(state)
    except RuntimeError as error:
        lines = [line.strip() for line in str(error).splitlines()[1:4]]
        raise CheckpointError(f"{path}: its weights do not fit the network: {' '.join(lines)}") from None
