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
from noisette.training.stop import Stop

if TYPE_CHECKING:
    from torch.distributed.fsdp import FSDPModule
    from torch.nn.parallel import DistributedDataParallel

__all__ = [
    "MEETING",
    "AgreedStop",
    "Group",
    "cut",
    "fitted",
    "is_joined",
    "joined",
    "load_whole",
    "part",
    "shard",
    "whole",
]

MEETING = "NOISETTE_MEETING"
"""Environment variable: the file by which processes on one machine find each other; without it as torchrun says."""


@dataclass(frozen=True)
class Group:
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
    def is_first(self) -> bool:
        """Whether this is the process that writes and tells."""
        return self.rank == 0

    @property
    def is_sharded(self) -> bool:
        """Whether each process has a part of the network only."""
        return self.size > 1 and self.parallel == "fsdp"

    def share(self, count: int) -> range:
        """Return the rows of a batch of `count` that are this process's."""
        return cut(range(count), self.size)[self.rank]

    def gathered(self, part: Tensor, count: int) -> Tensor:
        """Return the (count,) values of a whole batch, of which `part` are this process's."""
        if self.size == 1:
            return part
        import torch.distributed as dist

        longest = -(-count // self.size)
        padded = torch.zeros(longest, dtype=part.dtype, device=part.device)
        padded[: len(part)] = part
        parts = [torch.empty_like(padded) for _ in range(self.size)]
        dist.all_gather(parts, padded)
        return torch.cat([values[: len(rows)] for values, rows in zip(parts, self._shares(count), strict=True)])

    def agreed(self, mine: bool) -> bool:
        """Return whether any process says so. All must ask."""
        return mine if self.size == 1 else bool(self._sum(float(mine)))

    def told(self, mine: float) -> float:
        """Return what the first process says. All must ask."""
        return mine if self.size == 1 else self._sum(mine if self.is_first else 0.0)

    def wait(self) -> None:
        """Wait until all have come here."""
        self.agreed(False)

    def wrapped(self, network: nn.Module) -> nn.Module:
        """Return the network whose gradients are averaged over the processes."""
        if self.size == 1 or self.is_sharded:
            return network
        from torch.nn.parallel import DistributedDataParallel

        return DistributedDataParallel(network, broadcast_buffers=False, gradient_as_bucket_view=True)

    def adding(self, network: nn.Module, *, last: bool) -> AbstractContextManager[None]:
        """Give the context of one part of a batch: gradients are averaged once, behind the last part."""
        if self.is_sharded:
            cast("FSDPModule", network).set_requires_gradient_sync(last)
        if self.size == 1 or self.is_sharded or last:
            return nullcontext()
        return cast("DistributedDataParallel", network).no_sync()

    def _shares(self, count: int) -> list[range]:
        return cut(range(count), self.size)

    def _sum(self, value: float) -> float:
        import torch.distributed as dist

        total = torch.tensor(value, dtype=torch.float64)
        dist.all_reduce(total)
        return float(total)


class AgreedStop(Stop):
    """Whether any process of a group was asked to stop. All must look at it equally often."""

    def __init__(self, stop: Stop, group: Group) -> None:
        super().__init__()
        self._own, self._group, self._agreed = stop, group, False

    def __bool__(self) -> bool:
        self._agreed = self._agreed or self._group.agreed(bool(self._own))
        return self._agreed


def cut(rows: range, parts: int) -> list[range]:
    """Cut rows into neighbouring parts whose lengths differ by one at most; the longer ones come first."""
    size, longer = divmod(len(rows), parts)
    ends = [part * size + min(part, longer) for part in range(parts + 1)]
    return [rows[start:end] for start, end in pairwise(ends)]


def is_joined() -> bool:
    """Return whether this process was started as one of several, by torchrun or its like."""
    return int(os.environ.get("WORLD_SIZE", "1")) > 1 and "RANK" in os.environ


@contextmanager
def joined(parallel: Literal["ddp", "fsdp"]) -> Iterator[Group]:
    """Join the processes that this one was started with, for the length of the block; alone if there are none."""
    if not is_joined():
        yield Group()
        return
    import torch.distributed as dist

    rank, size = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    cuda = device_type() == "cuda"
    if cuda:
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
    meeting = os.environ.get(MEETING)
    dist.init_process_group(
        "cpu:gloo,cuda:nccl" if cuda else "gloo",
        init_method=f"file://{meeting}" if meeting else "env://",
        rank=rank,
        world_size=size,
    )
    try:
        yield Group(rank, size, parallel)
    finally:
        dist.destroy_process_group()


def shard(network: nn.Module) -> None:
    """Leave each process a part of every weight."""
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    device = next(network.parameters()).device.type
    mesh = init_device_mesh(device, (torch.distributed.get_world_size(),))
    network.to(memory_format=torch.contiguous_format)  # torch cuts no others; the pictures keep theirs
    fully_shard(network, mesh=mesh, reshard_after_forward=True)


def whole(tensor: Tensor) -> Tensor:
    """Return the whole of a tensor."""
    full = getattr(tensor, "full_tensor", None)
    return tensor if full is None else full()


def part(tensor: Tensor) -> Tensor:
    """Return what this process has of a tensor, in the same memory."""
    local = getattr(tensor, "to_local", None)
    return tensor if local is None else local()


def fitted(tensor: Tensor, like: Tensor) -> Tensor:
    """Return this process's part of a whole tensor, cut and placed as `like` is."""
    mesh = getattr(like, "device_mesh", None)
    if mesh is None:
        return tensor
    from torch.distributed.tensor import DTensor, distribute_tensor

    assert isinstance(like, DTensor)
    return distribute_tensor(tensor.to(mesh.device_type), mesh, like.placements, src_data_rank=None)


@torch.no_grad()
def load_whole(network: nn.Module, state: dict[str, Tensor]) -> None:
    """Load whole weights into a network that was cut; names and shapes are those of its own."""
    for name, own in network.state_dict().items():
        own.copy_(fitted(state[name], own))
