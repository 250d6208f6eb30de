"""One optimizer step."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from noisette.diffusion.noise import derive_seed
from noisette.diffusion.process import Tables
from noisette.model.network_denoiser import shown
from noisette.training.batches import TrainingBatch
from noisette.training.distributed import cut, whole
from noisette.training.memory import smaller_parts
from noisette.training.optimizer import learning_rate

if TYPE_CHECKING:
    from noisette.training.state import TrainingState

__all__ = ["Losses", "Stepper"]


_QUARTERS = 4


class Losses:
    """Mean losses of batches, and of pictures by the quarter of the process that their step lies in.

    Args:
        timesteps: T.
        device: where the losses are.
    """

    def __init__(self, timesteps: int, device: torch.device) -> None:
        self._timesteps, self._device = timesteps, device
        self._forget()

    def __len__(self) -> int:
        return len(self._batches)

    def add(self, batch: Tensor, t: Tensor, pictures: Tensor) -> None:
        """Add a batch: its mean loss, and the loss (N,) of each picture at its step (N,), before any weight."""
        self._batches.append(batch)
        quarter = t * _QUARTERS // self._timesteps
        self._sums.index_add_(0, quarter, pictures.detach().float())
        self._counts.index_add_(0, quarter, torch.ones_like(pictures, dtype=torch.float32))

    def take(self) -> dict[str, float]:
        """Return `loss`, and `loss_q0` (little noise) to `loss_q3` of quarters that were seen; then forget all."""
        means = {"loss": float(torch.stack(self._batches).mean())}
        sums, counts = self._sums.tolist(), self._counts.tolist()
        means |= {f"loss_q{q}": sums[q] / counts[q] for q in range(_QUARTERS) if counts[q]}
        self._forget()
        return means

    def _forget(self) -> None:
        self._batches: list[Tensor] = []
        self._sums, self._counts = torch.zeros(2, _QUARTERS, device=self._device)


class Stepper:
    """Takes optimizer steps on a training state.

    A step is a function of the state and the batch: dropout draws from a generator seeded by (seed, step). Losses
    stay on the device, so that a GPU never waits for them to be read.

    Attributes:
        losses: those of the steps since they were last taken.
    """

    def __init__(self, state: TrainingState, tables: Tables) -> None:
        self._state, self._tables = state, tables
        self._options, self._objective = state.experiment.training, state.experiment.objective
        self._group = state.group
        self._wrapped = self._group.wrapped(state.network)
        self._network = torch.compile(self._wrapped) if self._options.compile else self._wrapped
        self._parts = self._options.microbatches
        self.losses = Losses(len(tables), state.machine.device)

    def __call__(self, batch: TrainingBatch) -> Tensor:
        """Take one step; return the gradient's norm before clipping, a scalar.

        Raises:
            DataError: if one picture at a time is too much for the memory.
        """
        state = self._state
        for group in state.optimizer.param_groups:
            group["lr"] = learning_rate(self._options, state.step)
        self._backward(batch)
        norm = self._clip()
        state.optimizer.step()
        state.step += 1
        for ema in state.averages.values():
            ema.update(state.step)
        return norm

    def _backward(self, batch: TrainingBatch) -> None:
        """Compute the gradient of a batch's mean loss, in smaller parts if the memory does not hold it."""
        while True:
            torch.manual_seed(self._dropout_seed())
            self._state.optimizer.zero_grad(set_to_none=True)
            try:
                losses = self._accumulate(batch)
                break
            except RuntimeError as error:
                count = len(self._group.share(len(batch.x0)))
                self._parts = smaller_parts(error, self._parts, count, alone=self._group.size == 1)
        self._state.times.learn(batch.t, losses)
        self.losses.add(_weighted(losses, batch).mean(), batch.t.to(losses.device), losses)

    def _dropout_seed(self) -> int:
        process = (self._group.rank,) if self._group.size > 1 else ()
        return derive_seed(self._state.experiment.seed, "dropout", self._state.step, *process)

    def _accumulate(self, batch: TrainingBatch) -> Tensor:
        """Add the gradient of this process's share up, part by part; return the losses of all pictures, (N,)."""
        count = len(batch.x0)
        share, found = self._group.share(count), []
        parts = cut(share, min(self._parts, count // self._group.size))
        for part in parts:
            rows = slice(part.start, part.stop)
            with self._group.adding(self._wrapped, last=part == parts[-1]):
                losses = self._loss(batch, rows)
                mean = _weighted(losses, batch, rows).sum() / (count / self._group.size)
                mean.backward()  # type: ignore[no-untyped-call]
            found.append(losses.detach())
        return self._group.gathered(torch.cat(found), count)

    def _loss(self, batch: TrainingBatch, rows: slice) -> Tensor:
        """Return the loss of each picture of some rows."""
        device = self._state.machine.device

        def moved(part: Tensor) -> Tensor:
            return part[rows].to(device, non_blocking=True)

        x0, eps, t = moved(batch.x0), moved(batch.eps), moved(batch.t)
        label, hint = (None if part is None else moved(part) for part in (batch.label, batch.hint))
        x_t = self._tables.noised(x0, eps, t)
        seen = self._first_look(x_t, t, label, hint) if batch.looks_twice else None
        output = self._ask(x_t, t, label, seen, hint)
        return self._objective.training_losses(output, x0, eps, t, self._tables)

    @torch.no_grad()
    def _first_look(self, x_t: Tensor, t: Tensor, label: Tensor | None, hint: Tensor | None) -> Tensor:
        """Return the x0 that the network sees unaided, within [-1, 1]."""
        output = self._ask(x_t, t, label, None, hint)
        return self._objective.read(output, x_t, t, self._tables).x0.clamp(-1, 1)

    def _ask(
        self, x_t: Tensor, t: Tensor, label: Tensor | None, seen: Tensor | None, hint: Tensor | None
    ) -> Tensor:
        """Call the network; its output in float32."""
        machine = self._state.machine
        inputs = shown(x_t, seen, hint, self_condition=self._options.self_condition)
        if machine.channels_last:
            inputs = inputs.contiguous(memory_format=torch.channels_last)
        with machine.autocasting():
            output: Tensor = self._network(inputs, t, label)
        return output.float()

    def _clip(self) -> Tensor:
        weights = self._state.network.parameters()
        largest = self._options.max_grad_norm
        return whole(nn.utils.clip_grad_norm_(weights, float("inf") if largest is None else largest))


_ALL = slice(None)


def _weighted(losses: Tensor, batch: TrainingBatch, rows: slice = _ALL) -> Tensor:
    """Return the losses of some rows, times their weights."""
    return losses if batch.weight is None else losses * batch.weight[rows].to(losses)
