"""A trained model: the network of a checkpoint with what is needed to sample from it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor, nn

from noisette.contracts import Backbone, Objective, Schedule, Shape
from noisette.diffusion.process import Process
from noisette.errors import DataError
from noisette.machine import Machine
from noisette.model.conditioning import Conditioning
from noisette.model.network_denoiser import NetworkDenoiser, concat_inputs
from noisette.model.stored import load_plugin
from noisette.model.weights import find_weights_file, load_weights

if TYPE_CHECKING:
    from noisette.checkpoint import Checkpoint

__all__ = ["Model", "build_network"]

_NO_CONDITIONING = Conditioning()


@dataclass(frozen=True)
class Model:
    """A network in evaluation mode, with its objective and tables.

    Attributes:
        network: on the machine's device.
        objective: how its output is read.
        process: the process it was trained on.
        shape: channels, height and width of its images.
        classes: names of its labels; empty for a network without.
        machine: where it computes.
        conditioning: what the network is shown beside x_t.
    """

    network: nn.Module
    objective: Objective
    process: Process
    shape: Shape
    classes: tuple[str, ...]
    machine: Machine
    conditioning: Conditioning = _NO_CONDITIONING

    @classmethod
    def load(cls, checkpoint: Checkpoint, *, ema: bool | float = True, machine: Machine | None = None) -> Model:
        """Load a checkpoint's network; `ema` takes the averaged weights where there are some.

        Raises:
            CheckpointError: if it is damaged, a plugin it needs is missing, or its weights do not fit the network.
        """
        machine = machine or Machine.detect()
        checkpoint = checkpoint.verified()
        about = checkpoint.about
        shape = cast(Shape, tuple(about["shape"]))
        classes = tuple(about["classes"]) if about["experiment"]["training"]["class_conditional"] else ()
        conditioning = Conditioning.of(about["experiment"]["training"])
        schedule = cast(Schedule, load_plugin(checkpoint, "schedule"))
        objective = cast(Objective, load_plugin(checkpoint, "objective"))
        with torch.random.fork_rng(devices=[]):  # the first weights are drawn, then replaced
            backbone = cast(Backbone, load_plugin(checkpoint, "backbone"))
            network = build_network(backbone, objective, shape, len(classes), conditioning)
        load_weights(network, checkpoint.directory / find_weights_file(checkpoint, ema))
        network = machine.place(network.eval())  # autocast keeps what it casts of weights that require a gradient
        process = schedule.process(about["experiment"]["timesteps"])
        return cls(network, objective, process, shape, classes, machine, conditioning)

    def denoiser(self, label: Tensor | None = None, low_res: Tensor | None = None) -> NetworkDenoiser:
        """Return the denoiser that a sampler calls in one walk.

        Args:
            label: classes of the images, (N,) int64, or None.
            low_res: small images, enlarged to (N, C, H, W), for a network that was trained with them.

        Raises:
            DataError: if the network wants small images, and there are none, or the other way round.
        """
        wants = self.conditioning.low_res_size
        if (low_res is None) != (wants is None):
            raise DataError(
                f"the network was trained with small images of {wants} pixels: expected them to enlarge; got none"
                if low_res is None
                else "the network was trained without small images (training.low_res_size): it cannot enlarge"
            )
        return NetworkDenoiser(
            self.network,
            self.objective,
            self.process,
            label,
            self.machine.autocast,
            low_res=low_res,
            self_condition=self.conditioning.self_condition,
        )

    @torch.no_grad()
    def forward_raw(
        self, x_t: Tensor, t: Tensor, label: Tensor | None = None, low_res: Tensor | None = None
    ) -> Tensor:
        """Return what the network says of images, each at its own step: (N, outputs * C, H, W), as training does.

        Args:
            x_t: noisy images, (N, C, H, W).
            t: their steps, (N,) int64.
            label: their classes, (N,) int64, or None.
            low_res: small images, enlarged, for a network that wants them.

        A network that is shown its own earlier view is asked twice.
        """
        output = self._forward_raw(x_t, t, label, None, low_res)
        if not self.conditioning.self_condition:
            return output
        previous_x0 = self.objective.parse_output(output, x_t, t, self.process).x0.clamp(-1, 1)
        return self._forward_raw(x_t, t, label, previous_x0, low_res)

    def _forward_raw(
        self, x_t: Tensor, t: Tensor, label: Tensor | None, previous_x0: Tensor | None, low_res: Tensor | None
    ) -> Tensor:
        x = concat_inputs(x_t, previous_x0, low_res, self_condition=self.conditioning.self_condition)
        with self.machine.autocast_context():
            output: Tensor = self.network(x, t, label)
        return output.to(x_t.dtype)


def build_network(
    backbone: Backbone,
    objective: Objective,
    shape: Shape,
    classes: int,
    conditioning: Conditioning = _NO_CONDITIONING,
) -> nn.Module:
    """Build an untrained network for images of a shape, with the channels that objective and inputs need.

    Raises:
        DataError: if the backbone cannot do this shape, or a small image would not be smaller.
    """
    return backbone.build(conditioning.shape(shape), classes, shape[0] * objective.outputs)
