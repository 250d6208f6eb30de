"""A trained model: the network of a checkpoint with what is needed to sample from it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor, nn

from noisette.contracts import Backbone, Objective, Schedule, Shape
from noisette.diffusion.process import Tables
from noisette.errors import DataError
from noisette.machine import Machine
from noisette.model.conditioning import Inputs
from noisette.model.network_denoiser import NetworkDenoiser, shown
from noisette.model.stored import stored_plugin
from noisette.model.weights import load_weights, weights_of

if TYPE_CHECKING:
    from noisette.checkpoint import Checkpoint

__all__ = ["Model", "build_network"]

_PLAIN = Inputs()


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
        inputs: what the network is shown beside x_t.
    """

    network: nn.Module
    objective: Objective
    tables: Tables
    shape: Shape
    classes: tuple[str, ...]
    machine: Machine
    inputs: Inputs = _PLAIN

    @classmethod
    def load(cls, checkpoint: Checkpoint, *, ema: bool | float = True, machine: Machine | None = None) -> Model:
        """Load a checkpoint's network; `ema` takes the averaged weights where there are some.

        Raises:
            CheckpointError: if it is damaged, a plugin it needs is missing, or its weights do not fit the network.
        """
        machine = machine or Machine.here()
        checkpoint = checkpoint.verified()
        about = checkpoint.about
        shape = cast(Shape, tuple(about["shape"]))
        classes = tuple(about["classes"]) if about["experiment"]["training"]["class_conditional"] else ()
        inputs = Inputs.of(about["experiment"]["training"])
        schedule = cast(Schedule, stored_plugin(checkpoint, "schedule"))
        objective = cast(Objective, stored_plugin(checkpoint, "objective"))
        with torch.random.fork_rng(devices=[]):  # the first weights are drawn, then replaced
            backbone = cast(Backbone, stored_plugin(checkpoint, "backbone"))
            network = build_network(backbone, objective, shape, len(classes), inputs)
        load_weights(network, checkpoint.directory / weights_of(checkpoint, ema))
        network = machine.place(network.eval())  # autocast keeps what it casts of weights that require a gradient
        tables = schedule.process(about["experiment"]["timesteps"])
        return cls(network, objective, tables, shape, classes, machine, inputs)

    def denoiser(self, label: Tensor | None = None, hint: Tensor | None = None) -> NetworkDenoiser:
        """Return the denoiser that a sampler calls in one walk.

        Args:
            label: classes of the pictures, (N,) int64, or None.
            hint: small pictures, enlarged to (N, C, H, W), for a network that was trained with them.

        Raises:
            DataError: if the network wants small pictures, and there are none, or the other way round.
        """
        wants = self.inputs.low_res_size
        if (hint is None) != (wants is None):
            raise DataError(
                f"the network was trained with small pictures of {wants} pixels: expected them to enlarge; got none"
                if hint is None
                else "the network was trained without small pictures (training.low_res_size): it cannot enlarge"
            )
        return NetworkDenoiser(
            self.network,
            self.objective,
            self.tables,
            label,
            self.machine.autocast,
            hint=hint,
            self_condition=self.inputs.self_condition,
        )

    @torch.no_grad()
    def ask(self, x_t: Tensor, t: Tensor, label: Tensor | None = None, hint: Tensor | None = None) -> Tensor:
        """Return what the network says of pictures, each at its own step: (N, outputs * C, H, W), as training does.

        Args:
            x_t: noisy pictures, (N, C, H, W).
            t: their steps, (N,) int64.
            label: their classes, (N,) int64, or None.
            hint: small pictures, enlarged, for a network that wants them.

        A network that is shown its own earlier view is asked twice.
        """
        said = self._ask(x_t, t, label, None, hint)
        if not self.inputs.self_condition:
            return said
        seen = self.objective.read(said, x_t, t, self.tables).x0.clamp(-1, 1)
        return self._ask(x_t, t, label, seen, hint)

    def _ask(
        self, x_t: Tensor, t: Tensor, label: Tensor | None, seen: Tensor | None, hint: Tensor | None
    ) -> Tensor:
        inputs = shown(x_t, seen, hint, self_condition=self.inputs.self_condition)
        with self.machine.autocasting():
            output: Tensor = self.network(inputs, t, label)
        return output.to(x_t.dtype)


def build_network(
    backbone: Backbone, objective: Objective, shape: Shape, classes: int, inputs: Inputs = _PLAIN
) -> nn.Module:
    """Build an untrained network for pictures of a shape, with the channels that objective and inputs need.

    Raises:
        DataError: if the backbone cannot do this shape, or a small picture would not be smaller.
    """
    return backbone.build(inputs.shape(shape), classes, shape[0] * objective.outputs)
