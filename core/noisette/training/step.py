"""One optimizer step."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from noisette.diffusion.noise import derive_seed
from noisette.diffusion.tables import Tables
from noisette.training.batches import TrainingBatch
from noisette.training.rate import learning_rate

if TYPE_CHECKING:
    from noisette.training.state import TrainingState

__all__ = ["Stepper"]


class Stepper:
    """Takes optimizer steps on a training state.

    A step is a function of the state and the batch: dropout draws from a generator seeded by (seed, step). The
    loss stays on the device, so that a GPU never waits for it to be read.
    """

    def __init__(self, state: TrainingState, tables: Tables) -> None:
        self._state, self._tables = state, tables
        self._options = state.experiment.training
        network = state.network
        self._network = torch.compile(network) if self._options.compile else network

    def __call__(self, batch: TrainingBatch) -> tuple[Tensor, Tensor]:
        """Take one step; return the batch's mean loss and the gradient's norm before clipping, both scalars."""
        state = self._state
        torch.manual_seed(derive_seed(state.experiment.seed, "dropout", state.step))
        for group in state.optimizer.param_groups:
            group["lr"] = learning_rate(self._options, state.step)
        state.optimizer.zero_grad(set_to_none=True)
        loss = self._accumulate(batch)
        norm = self._clip()
        state.optimizer.step()
        state.step += 1
        if state.ema is not None:
            state.ema.update(state.step)
        return loss, norm

    def _accumulate(self, batch: TrainingBatch) -> Tensor:
        count = len(batch.x0)
        size = -(-count // self._options.accumulate)
        parts = []
        for start in range(0, count, size):
            loss = self._loss(batch, slice(start, start + size)).sum() / count
            loss.backward()  # type: ignore[no-untyped-call]
            parts.append(loss.detach())
        return torch.stack(parts).sum()

    def _loss(self, batch: TrainingBatch, rows: slice) -> Tensor:
        """Return the loss of each picture of some rows."""
        machine = self._state.machine
        x0, eps, t = (part[rows].to(machine.device, non_blocking=True) for part in (batch.x0, batch.eps, batch.t))
        label = None if batch.label is None else batch.label[rows].to(machine.device, non_blocking=True)
        alpha, sigma = self._tables.at(t, x0)
        x_t = alpha * x0 + sigma * eps
        if machine.channels_last:
            x_t = x_t.contiguous(memory_format=torch.channels_last)
        with machine.autocasting():
            output = self._network(x_t, t, label)
        return self._state.experiment.objective.training_losses(output.float(), x0, eps, t, self._tables)

    def _clip(self) -> Tensor:
        weights = self._state.network.parameters()
        largest = self._options.clip_norm
        return nn.utils.clip_grad_norm_(weights, float("inf") if largest is None else largest)
