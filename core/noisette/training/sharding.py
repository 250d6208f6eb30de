"""Tensors of which each process has a part (FSDP): cut from whole ones, and put together again.

Weights, gradients, averages and the optimizer's moments are cut; a step gathers the weights while it needs them.
Every function here must be called in all processes, and does nothing to tensors that are whole.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

__all__ = ["fitted", "load_whole", "part", "shard", "whole"]


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
