"""The process of a denoising-diffusion-pytorch model, from the tables that its `GaussianDiffusion` keeps.

Its betas tell the schedule. What the network was trained to say is written nowhere, but the weight of its loss is:
with snr = abar / (1 - abar), and clip the same or, where min-SNR was asked for, bounded above,

    clip / snr for eps,  clip for x0,  clip / (snr + 1) for v.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from noisette import DataError
from noisette_plugins.backbones.exchange.diffusers_process import named_schedule

__all__ = ["process_in"]

_ROUNDING = 1e-4
"""The tables are float32, and the betas come from differences of numbers that are near to each other."""


def process_in(state: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """Return the keys `schedule`, `timesteps` and `objective`, as far as a saved state says them; else nothing.

    Args:
        state: of `GaussianDiffusion`, or of its Unet alone, which knows no process.

    Raises:
        DataError: if there are tables, and they are not those of a process.
    """
    betas = _table(state, "betas")
    if betas is None:
        return {}
    if betas.ndim != 1 or not len(betas) or not bool(((betas > 0) & (betas <= 1)).all()):
        raise DataError(f"{path}: betas: expected variances within 0 and 1, (T,); they are damaged")
    process = {"schedule": named_schedule(betas.tolist(), _ROUNDING), "timesteps": len(betas)}
    weight = _table(state, "loss_weight")
    return process if weight is None else {**process, "objective": _objective(betas, weight, path)}


def _objective(betas: Tensor, weight: Tensor, path: Path) -> str:
    signal = (1 - betas).cumprod(0)
    snr = signal / (1 - signal)
    known = {"eps": torch.ones_like(snr), "x0": snr, "v": snr / (snr + 1)}
    fits = [name for name, plain in known.items() if weight.shape == snr.shape and _is_one(weight, plain, snr)]
    if len(fits) != 1:
        raise DataError(f"{path}: loss_weight: expected that of eps, x0 or v; it is none of them")
    return fits[0]


def _is_one(weight: Tensor, plain: Tensor, snr: Tensor) -> bool:
    """Return whether a loss is weighted so: plainly, or with snr bounded by its greatest value."""
    ratio = weight * snr / plain  # snr itself, or the bounded one
    return torch.allclose(ratio, snr.clamp(max=float(ratio.max())), rtol=1e-2, atol=1e-7)


def _table(state: Mapping[str, Any], name: str) -> Tensor | None:
    found = state.get(name)
    return found.double() if isinstance(found, Tensor) else None
