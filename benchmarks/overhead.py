"""The sampling loop without the network: DDPM with 1,000 steps at batch 1 and a trivial network."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.arms import DIFFUSERS, is_installed
from benchmarks.setting import Setting
from benchmarks.table import markdown, times
from benchmarks.timing import compare_times, summary, time_interleaved
from noisette.diffusion.denoiser import Clipped
from noisette.model.network_denoiser import NetworkDenoiser
from noisette.sampling.loop import generate
from noisette_plugins.objectives import Eps
from noisette_plugins.samplers import DDIM, DDPM
from noisette_plugins.schedules import Linear

TITLE = "Sampling loop without a network"


class _Nothing(nn.Module):
    """Returns the same output for every image, at no cost."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.said = torch.zeros(shape)

    def forward(self, x: Tensor, t: Tensor, label: Tensor | None = None) -> Tensor:
        return self.said


def measure(setting: Setting) -> dict[str, Any]:
    """Time whole trajectories of both libraries in turn."""
    work, steps = setting.work(), 20 if setting.quick else 1000
    network = _Nothing((1, *work.shape))
    denoise = Clipped(NetworkDenoiser(network, Eps(), Linear().process(1000)))
    cpu = torch.device("cpu")
    arms = {}
    for sampler in (DDPM(steps=steps), DDIM(steps=steps)):
        arms[sampler.name] = lambda sampler=sampler: generate(denoise, sampler, work.shape, [0], 0, cpu)
    if is_installed(DIFFUSERS):
        arms[f"{DIFFUSERS} ddpm"] = _diffusers_trajectory(network, steps, (1, *work.shape), "DDPMScheduler")
        arms[f"{DIFFUSERS} ddim"] = _diffusers_trajectory(network, steps, (1, *work.shape), "DDIMScheduler")
    seconds = time_interleaved(arms, setting.rounds(15))
    seconds = {name: [value / steps for value in taken] for name, taken in seconds.items()}
    ratios = {name: compare_times(seconds, name).get(f"{DIFFUSERS} {name}") for name in ("ddpm", "ddim")}
    return {"steps": steps, "times": {name: summary(taken) for name, taken in seconds.items()}, "ratios": ratios}


def _diffusers_trajectory(network: nn.Module, steps: int, shape: tuple[int, ...], kind: str) -> Any:
    import diffusers

    scheduler = getattr(diffusers, kind)(num_train_timesteps=1000)
    scheduler.set_timesteps(steps)

    @torch.no_grad()
    def sample() -> Tensor:
        generator = torch.Generator().manual_seed(0)
        x = torch.randn(shape, generator=generator)
        for t in scheduler.timesteps:
            x = scheduler.step(network(x, t), t, x, generator=generator).prev_sample
        return x

    return sample


def table(result: dict[str, Any]) -> list[str]:
    """Return the lines of the report."""
    rows = []
    for name in ("ddpm", "ddim"):
        theirs = result["times"].get(f"{DIFFUSERS} {name}")
        own = result["times"][name]
        rows.append(
            [
                name,
                f"{own['p20_ms']:.4f}",
                f"{theirs['p20_ms']:.4f}" if theirs else "",
                times(result["ratios"][name]),
            ]
        )
    head = ["sampler", "noisette, ms per step (p20)", "diffusers, ms per step (p20)", "speed-up of noisette"]
    return [f"Batch 1, {result['steps']} steps.", "", *markdown(head, rows)]
