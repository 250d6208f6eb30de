"""One optimizer step."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from noisette.diffusion.noise import derive_seed
from noisette.diffusion.process import Process
from noisette.model.network_denoiser import NetworkCall
from noisette.training.batches import TrainingBatch
from noisette.training.distributed import full_tensor, split_rows
from noisette.training.oom import more_microbatches
from noisette.training.optimizer import learning_rate

if TYPE_CHECKING:
    from noisette.training.state import TrainingState

__all__ = ["LossMeter", "Stepper"]


_QUARTERS = 4


class LossMeter:
    """Mean losses of batches, and of images by the quarter of the process of their timestep.

    Args:
        timesteps: T.
        device: device of the losses.
    """

    def __init__(self, timesteps: int, device: torch.device) -> None:
        self._timesteps, self._device = timesteps, device
        self._reset()

    def __len__(self) -> int:
        return len(self._batches)

    def add(self, batch: Tensor, t: Tensor, images: Tensor) -> None:
        """Add a batch: its mean loss, the timesteps, (N,), and the unweighted losses of its images, (N,)."""
        self._batches.append(batch)
        quarter = t * _QUARTERS // self._timesteps
        self._sums.index_add_(0, quarter, images.detach().float())
        self._counts.index_add_(0, quarter, torch.ones_like(images, dtype=torch.float32))

    def pop_means(self) -> dict[str, float]:
        """Return `loss` and, of quarters with images, `loss_q0` (little noise) to `loss_q3`; then reset."""
        means = {"loss": float(torch.stack(self._batches).mean())}
        sums, counts = self._sums.tolist(), self._counts.tolist()
        means |= {f"loss_q{q}": sums[q] / counts[q] for q in range(_QUARTERS) if counts[q]}
        self._reset()
        return means

    def _reset(self) -> None:
        self._batches: list[Tensor] = []
        self._sums, self._counts = torch.zeros(2, _QUARTERS, device=self._device)


class Stepper:
    """Takes optimizer steps on a training state.

    A step is a function of the state and the batch: dropout uses a generator seeded by (seed, step). Losses stay
    on the device, so that a step does not synchronize with a GPU.

    In fp16 the loss is scaled; a step whose gradient is not finite then changes no weight, and counts as a step.

    Attributes:
        losses: the losses since the last `pop_means`.
    """

    def __init__(self, state: TrainingState, process: Process) -> None:
        self._state, self._process = state, process
        self._options, self._objective = state.experiment.training, state.experiment.objective
        self._group, self._images = state.group, state.data.count("train")
        self._wrapped_network = self._group.wrap(state.network)
        network = torch.compile(self._wrapped_network) if self._options.compile else self._wrapped_network
        machine, self_condition = state.machine, self._options.self_condition
        self._call = NetworkCall(
            network, self._objective, process, self_condition, machine.autocast, machine.channels_last
        )
        self._parts = self._options.microbatches
        self.losses = LossMeter(len(process), state.machine.device)
        self._skipped = torch.zeros((), dtype=torch.int64, device=state.machine.device)

    def __call__(self, batch: TrainingBatch) -> Tensor:
        """Take one step; return the gradient's norm before clipping, a scalar.

        Raises:
            DataError: if a single image does not fit into memory.
        """
        state = self._state
        for group in state.optimizer.param_groups:
            group["lr"] = learning_rate(self._options, state.step, self._images)
        self._backward(batch)
        state.scaler.unscale_(state.optimizer)
        norm = self._clip()
        state.scaler.step(state.optimizer)
        state.scaler.update()
        if state.scaler.is_enabled():
            self._skipped += ~norm.isfinite()
        state.step += 1
        for ema in state.emas.values():
            ema.update(state.step)
        return norm

    def pop_skipped(self) -> dict[str, float]:
        """Return `skipped_steps` since the last call and `loss_scale` in fp16; otherwise nothing."""
        if not self._state.scaler.is_enabled():
            return {}
        skipped = float(self._skipped)
        self._skipped.zero_()
        return {"skipped_steps": skipped, "loss_scale": self._state.scaler.get_scale()}

    def _backward(self, batch: TrainingBatch) -> None:
        """Compute the gradient of a batch's mean loss, in smaller parts if it does not fit into memory."""
        while True:
            torch.manual_seed(self._dropout_seed())
            self._state.optimizer.zero_grad(set_to_none=True)
            try:
                losses = self._accumulate(batch)
                break
            except RuntimeError as error:
                count = len(self._group.local_rows(len(batch.x0)))
                self._parts = more_microbatches(error, self._parts, count, single_process=self._group.size == 1)
        self._state.timestep_sampler.update(batch.t, losses)
        self.losses.add(_apply_weights(losses, batch).mean(), batch.t.to(losses.device), losses)

    def _dropout_seed(self) -> int:
        rank = (self._group.rank,) if self._group.size > 1 else ()
        return derive_seed(self._state.experiment.seed, "dropout", self._state.step, *rank)

    def _accumulate(self, batch: TrainingBatch) -> Tensor:
        """Accumulate the gradient of this process's share by parts; return the losses of all images, (N,)."""
        count = len(batch.x0)
        share, losses_by_part = self._group.local_rows(count), []
        parts = split_rows(share, min(self._parts, count // self._group.size))
        for part in parts:
            rows = slice(part.start, part.stop)
            with self._group.accumulate_gradients(self._wrapped_network, last=part == parts[-1]):
                losses = self._loss(batch, rows)
                mean = _apply_weights(losses, batch, rows).sum() / (count / self._group.size)
                self._state.scaler.scale(mean).backward()  # type: ignore[no-untyped-call]
            losses_by_part.append(losses.detach())
        return self._group.all_gather(torch.cat(losses_by_part), count)

    def _loss(self, batch: TrainingBatch, rows: slice) -> Tensor:
        """Return the loss of each image of some rows."""
        device = self._state.machine.device

        def to_device(part: Tensor) -> Tensor:
            return part[rows].to(device, non_blocking=True)

        x0, eps, t = to_device(batch.x0), to_device(batch.eps), to_device(batch.t)
        label, low_res = (None if part is None else to_device(part) for part in (batch.label, batch.low_res))
        x_t = self._process.add_noise(x0, eps, t)
        previous_x0 = self._call.estimate_x0(x_t, t, label, low_res) if batch.self_condition else None
        output = self._call(x_t, t, label, low_res, previous_x0)
        return self._objective.training_losses(output, x0, eps, t, self._process)

    def _clip(self) -> Tensor:
        weights = self._state.network.parameters()
        max_norm = self._options.max_grad_norm
        return full_tensor(nn.utils.clip_grad_norm_(weights, float("inf") if max_norm is None else max_norm))


_ALL_ROWS = slice(None)


def _apply_weights(losses: Tensor, batch: TrainingBatch, rows: slice = _ALL_ROWS) -> Tensor:
    """Return the weighted losses of some rows."""
    return losses if batch.weight is None else losses * batch.weight[rows].to(losses)
