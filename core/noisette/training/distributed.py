"""Training in several processes: shares of every batch, and FSDP's shards of every tensor."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Literal, cast

import torch
from torch import Tensor, nn

from noisette.machine import device_type

if TYPE_CHECKING:
    from torch.distributed.fsdp import FSDPModule
    from torch.nn.parallel import DistributedDataParallel

__all__ = [
    "RENDEZVOUS",
    "WorkerGroup",
    "full_tensor",
    "is_distributed",
    "join_group",
    "load_full_state",
    "local_shard",
    "shard",
    "shard_like",
    "split_rows",
]

RENDEZVOUS = "NOISETTE_RENDEZVOUS"
"""Environment variable: the rendezvous file of processes on one machine; without it, torchrun's rendezvous."""


@dataclass(frozen=True)
class WorkerGroup:
    """The processes of a training, as seen by one of them; by default a single process.

    Attributes:
        rank: number of this process, from 0.
        size: number of processes.
        parallel: "ddp" if each has the whole network, "fsdp" if each has a shard.
    """

    rank: int = 0
    size: int = 1
    parallel: Literal["ddp", "fsdp"] = "ddp"

    @property
    def is_main(self) -> bool:
        """Whether this process writes files and reports events."""
        return self.rank == 0

    @property
    def is_sharded(self) -> bool:
        """Whether each process has a shard of the network."""
        return self.size > 1 and self.parallel == "fsdp"

    def local_rows(self, count: int) -> range:
        """Return this process's rows of a batch of `count`."""
        return split_rows(range(count), self.size)[self.rank]

    def all_gather(self, values: Tensor, count: int) -> Tensor:
        """Return the values, (count,), of a whole batch; `values` are those of this process's rows."""
        if self.size == 1:
            return values
        import torch.distributed as dist

        longest = -(-count // self.size)
        padded = torch.zeros(longest, dtype=values.dtype, device=values.device)
        padded[: len(values)] = values
        parts = [torch.empty_like(padded) for _ in range(self.size)]
        dist.all_gather(parts, padded)
        return torch.cat([piece[: len(rows)] for piece, rows in zip(parts, self._row_ranges(count), strict=True)])

    def any(self, value: bool) -> bool:
        """Return whether the value is True in any process; all must call it."""
        return value if self.size == 1 else bool(self._all_reduce(float(value)))

    def broadcast(self, value: float) -> float:
        """Return the value of the main process; all must call it."""
        return value if self.size == 1 else self._all_reduce(value if self.is_main else 0.0)

    def barrier(self) -> None:
        """Wait for all processes."""
        self.any(False)

    def wrap(self, network: nn.Module) -> nn.Module:
        """Return the network with gradients averaged over the processes."""
        if self.size == 1 or self.is_sharded:
            return network
        from torch.nn.parallel import DistributedDataParallel

        return DistributedDataParallel(network, broadcast_buffers=False, gradient_as_bucket_view=True)

    def accumulate_gradients(self, network: nn.Module, *, last: bool) -> AbstractContextManager[None]:
        """Return the context of one part of a batch; gradients are averaged after the last part."""
        if self.is_sharded:
            cast("FSDPModule", network).set_requires_gradient_sync(last)
        if self.size == 1 or self.is_sharded or last:
            return nullcontext()
        return cast("DistributedDataParallel", network).no_sync()

    def _row_ranges(self, count: int) -> list[range]:
        return split_rows(range(count), self.size)

    def _all_reduce(self, value: float) -> float:
        import torch.distributed as dist

        total = torch.tensor(value, dtype=torch.float64)
        dist.all_reduce(total)
        return float(total)


def split_rows(rows: range, parts: int) -> list[range]:
    """Split rows into consecutive parts whose lengths differ by at most one, longer ones first."""
    size, longer = divmod(len(rows), parts)
    ends = [index * size + min(index, longer) for index in range(parts + 1)]
    return [rows[start:end] for start, end in pairwise(ends)]


def is_distributed() -> bool:
    """Return whether this process is one of several, started by torchrun or a similar launcher."""
    return int(os.environ.get("WORLD_SIZE", "1")) > 1 and "RANK" in os.environ


@contextmanager
def join_group(parallel: Literal["ddp", "fsdp"]) -> Iterator[WorkerGroup]:
    """Join the process group for the length of the block; yield a single-process group if there is none."""
    if not is_distributed():
        yield WorkerGroup()
        return
    import torch.distributed as dist

    rank, size = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    cuda = device_type() == "cuda"
    if cuda:
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
    rendezvous = os.environ.get(RENDEZVOUS)
    dist.init_process_group(
        "cpu:gloo,cuda:nccl" if cuda else "gloo",
        init_method=f"file://{rendezvous}" if rendezvous else "env://",
        rank=rank,
        world_size=size,
    )
    try:
        yield WorkerGroup(rank, size, parallel)
    finally:
        dist.destroy_process_group()


def shard(network: nn.Module) -> None:
    """Shard every weight over the processes."""
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    device = next(network.parameters()).device.type
    mesh = init_device_mesh(device, (torch.distributed.get_world_size(),))
    network.to(memory_format=torch.contiguous_format)  # FSDP shards contiguous weights only
    fully_shard(network, mesh=mesh, reshard_after_forward=True)


def full_tensor(tensor: Tensor) -> Tensor:
    """Return the full tensor of a sharded one."""
    full = getattr(tensor, "full_tensor", None)
    return tensor if full is None else full()


def local_shard(tensor: Tensor) -> Tensor:
    """Return this process's shard of a tensor, in the same memory."""
    local = getattr(tensor, "to_local", None)
    return tensor if local is None else local()


def shard_like(tensor: Tensor, like: Tensor) -> Tensor:
    """Return this process's shard of a full tensor, with the layout of `like`."""
    mesh = getattr(like, "device_mesh", None)
    if mesh is None:
        return tensor
    from torch.distributed.tensor import DTensor, distribute_tensor

    assert isinstance(like, DTensor)
    return distribute_tensor(tensor.to(mesh.device_type), mesh, like.placements, src_data_rank=None)


@torch.no_grad()
def load_full_state(network: nn.Module, state: dict[str, Tensor]) -> None:
    """Load full weights into a sharded network; names and shapes are those of its own."""
    for name, own in network.state_dict().items():
        own.copy_(shard_like(state[name], own))
