"""Forward processes for the checks: their tables are defined here, so that they depend on no plugin."""

from __future__ import annotations

import math

import torch

from noisette.diffusion import Process

__all__ = ["cosine", "even", "linear", "zero_terminal"]


def linear(timesteps: int = 1000) -> Process:
    """Betas from 1e-4 to 0.02, scaled to T (Ho et al. 2020, section 4)."""
    scale = 1000 / timesteps
    betas = torch.linspace(scale * 1e-4, scale * 0.02, timesteps, dtype=torch.float64)
    return Process(betas.clamp(max=0.999))


def cosine(timesteps: int = 1000) -> Process:
    """A squared cosine, betas clipped at 0.999 (Nichol & Dhariwal 2021, eq. 17): alpha ends at 5e-5."""
    t = torch.arange(timesteps + 1, dtype=torch.float64) / timesteps
    signal = torch.cos((t + 0.008) / 1.008 * math.pi / 2) ** 2
    return Process((1 - signal[1:] / signal[:-1]).clamp(max=0.999))


def zero_terminal(timesteps: int = 1000) -> Process:
    """The linear process whose last step leaves no signal: the last beta is 1 (Lin et al. 2024)."""
    betas = linear(timesteps).betas.clone()
    betas[-1] = 1.0
    return Process(betas)


def even(timesteps: int = 961) -> Process:
    """A process whose log(alpha / sigma) falls evenly from 3 to -3.

    Steps that are even in t are even in every variable that samplers use, so that the order of a method is visible
    with few steps; 960 intervals can be halved six times.
    """
    ratio = torch.linspace(3.0, -3.0, timesteps, dtype=torch.float64)
    squared = torch.sigmoid(2 * ratio)
    before = torch.cat([torch.ones(1, dtype=torch.float64), squared[:-1]])
    return Process(1 - squared / before)
