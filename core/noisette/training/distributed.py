"""Several processes that train one network: their shares of every batch, and FSDP's shards of every tensor."""

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
"""Environment variable: the file by which processes on one machine find each other; without it as torchrun says."""


@dataclass(frozen=True)
class WorkerGroup:
    """The processes of one training, as one of them sees it; by default it is alone.

    Attributes:
        rank: its number, from 0.
        size: how many they are.
        parallel: "ddp" where each has the whole network, "fsdp" where each has a part.
    """

    rank: int = 0
    size: int = 1
    parallel: Literal["ddp", "fsdp"] = "ddp"

    @property
    def is_main(self) -> bool:
        """Whether this is the process that writes and tells."""
        return self.rank == 0

    @property
    def is_sharded(self) -> bool:
        """Whether each process has a part of the network only."""
        return self.size > 1 and self.parallel == "fsdp"

    def local_rows(self, count: int) -> range:
        """Return the rows of a batch of `count` that are this process's."""
        return split_rows(range(count), self.size)[self.rank]

    def all_gather(self, values: Tensor, count: int) -> Tensor:
        """Return the (count,) values of a whole batch, of which `values` are this process's."""
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
        """Return whether any process says so. All must ask."""
        return value if self.size == 1 else bool(self._all_reduce(float(value)))

    def broadcast(self, value: float) -> float:
        """Return what the first process says. All must ask."""
        return value if self.size == 1 else self._all_reduce(value if self.is_main else 0.0)

    def barrier(self) -> None:
        """Wait until all have come here."""
        self.any(False)

    def wrap(self, network: nn.Module) -> nn.Module:
        """Return the network whose gradients are averaged over the processes."""
        if self.size == 1 or self.is_sharded:
            return network
        from torch.nn.parallel import DistributedDataParallel

        return DistributedDataParallel(network, broadcast_buffers=False, gradient_as_bucket_view=True)

    def accumulate_gradients(self, network: nn.Module, *, last: bool) -> AbstractContextManager[None]:
        """Give the context of one part of a batch: gradients are averaged once, behind the last part."""
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
    """Cut rows into neighbouring parts whose lengths differ by one at most; the longer ones come first."""
    size, longer = divmod(len(rows), parts)
    ends = [index * size + min(index, longer) for index in range(parts + 1)]
    return [rows[start:end] for start, end in pairwise(ends)]


def is_distributed() -> bool:
    """Return whether this process was started as one of several, by torchrun or its like."""
    return int(os.environ.get("WORLD_SIZE", "1")) > 1 and "RANK" in os.environ


@contextmanager
def join_group(parallel: Literal["ddp", "fsdp"]) -> Iterator[WorkerGroup]:
    """Join the processes that this one was started with, for the length of the block; alone if there are none."""
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
    """Leave each process a part of every weight."""
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    device = next(network.parameters()).device.type
    mesh = init_device_mesh(device, (torch.distributed.get_world_size(),))
    network.to(memory_format=torch.contiguous_format)  # torch cuts no others; the images keep theirs
    fully_shard(network, mesh=mesh, reshard_after_forward=True)


def full_tensor(tensor: Tensor) -> Tensor:
    """Return the whole of a tensor."""
    full = getattr(tensor, "full_tensor", None)
    return tensor if full is None else full()


def local_shard(tensor: Tensor) -> Tensor:
    """Return what this process has of a tensor, in the same memory."""
    local = getattr(tensor, "to_local", None)
    return tensor if local is None else local()


def shard_like(tensor: Tensor, like: Tensor) -> Tensor:
    """Return this process's part of a whole tensor, cut and placed as `like` is."""
    mesh = getattr(like, "device_mesh", None)
    if mesh is None:
        return tensor
    from torch.distributed.tensor import DTensor, distribute_tensor

    assert isinstance(like, DTensor)
    return distribute_tensor(tensor.to(mesh.device_type), mesh, like.placements, src_data_rank=None)


@torch.no_grad()
def load_full_state(network: nn.Module, state: dict[str, Tensor]) -> None:
    """Load whole weights into a network that was cut; names and shapes are those of its own."""
    for name, own in network.state_dict().items():
        own.copy_(shard_like(state[name], own))
