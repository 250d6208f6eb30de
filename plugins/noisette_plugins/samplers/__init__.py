"""Samplers: methods that lead from noise to images."""

from __future__ import annotations

from collections.abc import Iterator

from noisette import Sampler, hookimpl
from noisette_plugins.samplers.ddim import DDIM
from noisette_plugins.samplers.ddpm import DDPM
from noisette_plugins.samplers.dpm_solver import DPMSolverPP
from noisette_plugins.samplers.heun import Heun
from noisette_plugins.samplers.pndm import PNDM
from noisette_plugins.samplers.unipc import UniPC

__all__ = ["DDIM", "DDPM", "PNDM", "DPMSolverPP", "Heun", "UniPC"]


@hookimpl
def plugins() -> Iterator[type[Sampler]]:
    """Yield the samplers of this folder."""
    yield from (DDPM, DDIM, DPMSolverPP, Heun, PNDM, UniPC)
