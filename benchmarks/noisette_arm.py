"""noisette's own training: batches from prepared images, the step, averaged weights."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from benchmarks.setting import Setting, Work
from noisette.data import Prepared
from noisette.layout import data_directory
from noisette.machine import Machine, Precision
from noisette.model.network_denoiser import NetworkDenoiser
from noisette.training.batches import Batches, TrainingBatch
from noisette.training.state import TrainingState
from noisette.training.step import Stepper

__all__ = ["NoisetteArm"]


class NoisetteArm:
    """A training, and the network in evaluation mode.

    Attributes:
        network: in training mode.
        machine: what was chosen for this machine.
    """

    def __init__(
        self,
        setting: Setting,
        work: Work,
        precision: Precision = "auto",
        backbone: dict[str, Any] | str | None = None,
        **training: Any,
    ) -> None:
        self.experiment = setting.experiment(work, backbone or work.unet(), precision=precision, **training)
        data = Prepared.open(data_directory(self.experiment, setting.root))
        self.machine = Machine.detect(precision)
        self.process = self.experiment.schedule.process(self.experiment.timesteps)
        self.state = TrainingState(self.experiment, data, self.machine)
        self.stepper = Stepper(self.state, self.process)
        self.batches = Batches(self.experiment, data)
        self.network = self.state.network

    def step(self) -> Tensor:
        """Take a training step, from the prepared images on."""
        return self.stepper(self.batches[self.state.step])

    def learn(self, batch: TrainingBatch) -> float:
        """Take a step with a given batch; return its loss."""
        self.stepper(batch)
        return self.stepper.losses.pop_means()["loss"]

    def denoiser(self) -> NetworkDenoiser:
        """Return a denoiser for a sampler, with the network placed again for the machine."""
        machine = Machine.detect(self.experiment.training.precision)
        network = machine.place(self.network.eval().to(memory_format=torch.contiguous_format))
        return NetworkDenoiser(network, self.experiment.objective, self.process, None, machine.autocast)
