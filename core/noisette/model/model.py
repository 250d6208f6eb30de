"""A trained model: the network of a checkpoint, and the denoiser that samplers call."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor, nn

from noisette.contracts import Backbone, Objective, Sampler, Schedule, Shape
from noisette.diffusion.denoiser import Clipped, Denoiser
from noisette.diffusion.guidance import Guided, Thresholded
from noisette.diffusion.process import Process
from noisette.errors import DataError, PluginError
from noisette.machine import Machine
from noisette.model.conditioning import Conditioning
from noisette.model.network_denoiser import NetworkCall, NetworkDenoiser
from noisette.model.plugins import load_plugin
from noisette.model.weights import find_weights_file, load_weights

if TYPE_CHECKING:
    from noisette.checkpoint import Checkpoint
    from noisette.config import Sampling

__all__ = ["Model", "build_denoiser", "build_network", "count_network_calls", "labels_for"]

_NO_CONDITIONING = Conditioning()


@dataclass(frozen=True)
class Model:
    """A network in evaluation mode with its objective and process.

    Attributes:
        network: the network, on the machine's device.
        objective: the objective that it was trained with.
        process: the process that it was trained on.
        shape: channels, height and width of its images.
        classes: class names; empty for an unconditional network.
        machine: device and precision.
        conditioning: the input channels besides x_t.
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
        """Load the network of a checkpoint.

        Args:
            checkpoint: the checkpoint.
            ema: True takes the first averaged weights, if there are any, a number the average of this decay, and
                False the weights themselves.
            machine: device and precision; None detects them.

        Raises:
            CheckpointError: if the checkpoint is damaged, one of its plugins is missing, or the weights do not fit.
        """
        machine = machine or Machine.detect()
        checkpoint = checkpoint.verified()
        about = checkpoint.about
        shape = cast(Shape, tuple(about["shape"]))
        classes = tuple(about["classes"]) if about["experiment"]["training"]["class_conditional"] else ()
        conditioning = Conditioning.of(about["experiment"]["training"])
        schedule = cast(Schedule, load_plugin(checkpoint, "schedule"))
        objective = cast(Objective, load_plugin(checkpoint, "objective"))
        with torch.random.fork_rng(devices=[]):  # the initial weights are random, and replaced
            backbone = cast(Backbone, load_plugin(checkpoint, "backbone"))
            network = build_network(backbone, objective, shape, len(classes), conditioning)
        load_weights(network, checkpoint.directory / find_weights_file(checkpoint, ema))
        network = machine.place(network.eval())  # autocast caches casts of weights that require a gradient
        process = schedule.process(about["experiment"]["timesteps"])
        return cls(network, objective, process, shape, classes, machine, conditioning)

    def denoiser(self, label: Tensor | None = None, low_res: Tensor | None = None) -> NetworkDenoiser:
        """Return a denoiser for one trajectory, without guidance and clipping.

        Args:
            label: classes of the images, (N,) int64, or None.
            low_res: for a super-resolution model, low-resolution images enlarged to full size, (N, C, H, W).

        Raises:
            DataError: if the network needs `low_res` and it is None, or the other way round.
        """
        size = self.conditioning.low_res_size
        if (low_res is None) != (size is None):
            raise DataError(
                f"the network was trained with small images of {size} pixels: expected them to enlarge; got none"
                if low_res is None
                else "the network was trained without training.low_res_size: expected no small images; got some"
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
        """Return the network's output as in training, (N, outputs * C, H, W).

        With self-conditioning the network is called twice: first for the x0 that the second call gets.

        Args:
            x_t: noisy images, (N, C, H, W).
            t: their timesteps, (N,) int64.
            label: their classes, (N,) int64, or None.
            low_res: for a super-resolution model, low-resolution images enlarged to full size, (N, C, H, W).
        """
        self_condition = self.conditioning.self_condition
        call = NetworkCall(self.network, self.objective, self.process, self_condition, self.machine.autocast)
        previous_x0 = call.estimate_x0(x_t, t, label, low_res) if self_condition else None
        return call(x_t, t, label, low_res, previous_x0)


def build_network(
    backbone: Backbone,
    objective: Objective,
    shape: Shape,
    classes: int,
    conditioning: Conditioning = _NO_CONDITIONING,
) -> nn.Module:
    """Build an untrained network for images of a shape, with the channels of its objective and conditioning.

    Raises:
        DataError: if the backbone does not support the shape, or the low-resolution image is not smaller.
    """
    return backbone.build(conditioning.shape(shape), classes, shape[0] * objective.outputs)


def build_denoiser(
    model: Model, sampler: Sampler, labels: Tensor | None, clip: float | None = 1.0, low_res: Tensor | None = None
) -> Denoiser:
    """Return the denoiser of a sampler: the network, with guidance and then clipping around it.

    Args:
        model: the trained model.
        sampler: its guidance and its dynamic threshold are used.
        labels: classes of the images, (N,) int64; None for unconditional images.
        clip: bound of the predicted x0 without a dynamic threshold; None never clips.
        low_res: for a super-resolution model, low-resolution images enlarged to full size, (N, C, H, W).

    Raises:
        DataError: if the network needs `low_res` and it is None, or the other way round.
        PluginError: if the sampler is guided and there are no labels, or it needs a variance that the network did
            not learn.
    """
    if sampler.needs_learned_variance and model.objective.outputs == 1:
        raise PluginError(
            f"sampler {sampler.label}: needs a network that learned the variance (objective.bound=hybrid or full)"
        )
    denoise: Denoiser = model.denoiser(None if labels is None else labels.to(model.machine.device), low_res)
    if sampler.is_guided:
        if labels is None:
            raise PluginError(
                f"sampler {sampler.label}: guidance needs a network that was trained with labels "
                "(training.class_conditional=true) and sampling.labels=balanced"
            )
        denoise = Guided(
            denoise, model.denoiser(low_res=low_res), sampler.guidance_scale, sampler.guidance_interval
        )
    if sampler.dynamic_threshold is not None:
        return Thresholded(denoise, sampler.dynamic_threshold)
    return denoise if clip is None else Clipped(denoise, clip)


def labels_for(model: Model, options: Sampling, indices: Sequence[int]) -> Tensor | None:
    """Return class i mod K for image i, (N,) int64, or None for an unconditional network or `labels: none`."""
    if not model.classes or options.labels == "none":
        return None
    return torch.tensor([index % len(model.classes) for index in indices])


def count_network_calls(sampler: Sampler, process: Process) -> int:
    """Return the number of network calls of a trajectory; a guided step calls the network twice.

    For a sampler with several denoiser calls a step, all calls of a step count as guided or none.
    """
    steps = process.timesteps(sampler.steps, sampler.spacing)
    steps_taken = len(steps) - 1
    calls = sampler.network_calls(steps_taken, from_noise=process(steps[0])[0] == 0)
    if not sampler.is_guided:
        return calls
    if sampler.guidance_interval is None:
        return 2 * calls
    first, last = sampler.guidance_interval
    return calls + round(calls * sum(last <= t <= first for t in steps[:-1]) / steps_taken)
