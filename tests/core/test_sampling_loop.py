from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from noisette import Noise, registry
from noisette.figures.trajectory import record_sampler_trajectory
from noisette.model.network_denoiser import NetworkDenoiser
from noisette.sampling.loop import sample_loop


class Casts(TorchDispatchMode):
    """Count the casts of a tensor of some shape."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.shape, self.count = shape, 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        done = func(*args, **(kwargs or {}))
        if isinstance(done, Tensor) and tuple(done.shape) == self.shape and done.dtype != args[0].dtype:
            self.count += 1
        return done


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 1, 3, padding=1)

    def forward(self, x: Tensor, t: Tensor, label: Tensor | None = None) -> Tensor:
        out: Tensor = self.conv(x)
        return out


def test_a_walk_casts_the_weights_once() -> None:
    plugin = registry().find
    objective, schedule = plugin("objective", "eps").plugin(), plugin("schedule", "linear").plugin()
    sampler = plugin("sampler", "ddim").plugin(steps=5)
    denoise = NetworkDenoiser(Net(), objective, schedule.process(100), autocast=torch.bfloat16)
    start, noise = torch.zeros(2, 1, 8, 8), Noise(0, [0, 1], (1, 8, 8))
    with torch.no_grad(), Casts((1, 1, 3, 3)) as walk:
        x = sample_loop(denoise, sampler, start, noise)
    assert walk.count == 1
    with torch.no_grad(), Casts((1, 1, 3, 3)) as calls:
        for state in sampler.trajectory(denoise, start, noise):
            last = state
    assert calls.count == 5  # the control
    assert torch.equal(x, last)
    with Casts((1, 1, 3, 3)) as shown:
        record_sampler_trajectory(denoise, sampler, (1, 8, 8), [0, 1], 0)
    assert shown.count == 1
