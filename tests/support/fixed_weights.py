"""Weights and inputs that are formulas, so that another implementation can be given the same ones."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def fill_network(network: nn.Module) -> nn.Module:
    """Fill a network's weights, and put it in evaluation mode."""
    fill_state(network.state_dict())
    return network.eval()


def fill_state(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Set every weight by a sine of its place: the i-th name of the state, in alphabetical order, its j-th value.

    w[j] = a sin(j (1 + i / 10)), with a = sqrt(2 / fan-in) for matrices and convolutions and 0.1 for vectors;
    gains of normalisations are 1 more.
    """
    for index, name in enumerate(sorted(state)):
        tensor = state[name]
        wave = torch.sin(torch.arange(tensor.numel(), dtype=torch.float64) * (1 + index / 10)).view(tensor.shape)
        fan_in = tensor[0].numel()
        gain = name.endswith("gain") or ("norm" in name and name.endswith("weight"))
        tensor.copy_(1 + 0.1 * wave if gain else wave * ((2 / fan_in) ** 0.5 if tensor.ndim > 1 else 0.1))
    return state


def inputs(shape: tuple[int, int, int]) -> tuple[Tensor, Tensor, Tensor]:
    """Return three images sin(0.37 k), their steps 0, 17 and 999, and the labels 0, 2 and 1."""
    count = 3 * shape[0] * shape[1] * shape[2]
    x = torch.sin(0.37 * torch.arange(count, dtype=torch.float64)).float().view(3, *shape)
    return x, torch.tensor([0, 17, 999]), torch.tensor([0, 2, 1])


def digest(output: Tensor) -> list[float]:
    """Return mean, root mean square, and the first and last value of each image."""
    ends = [value for image in output.flatten(1) for value in (image[0], image[-1])]
    return [float(value) for value in (output.mean(), output.square().mean().sqrt(), *ends)]
