"""The arms that train: noisette, the peers that are installed, and the floor."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.noisette_arm import NoisetteArm
from benchmarks.setting import Setting, Work
from noisette_plugins.backbones import UNet
from noisette_plugins.backbones.exchange.diffusers_folder import export_unet

__all__ = ["DIFFUSERS", "LUCIDRAINS", "export_network", "images", "is_installed", "peers", "size"]

DIFFUSERS, LUCIDRAINS = "diffusers", "denoising-diffusion-pytorch"


def peers(setting: Setting, work: Work, own: NoisetteArm, *, bf16: bool = False) -> Iterator[tuple[str, Any]]:
    """Yield the peers that are installed, on the same images; with `bf16`, diffusers under autocast as well."""
    x0 = images(own, work.batch)
    if is_installed(DIFFUSERS):
        from benchmarks.diffusers_arm import DiffusersArm

        folder = export_network(setting, own)
        yield DIFFUSERS, DiffusersArm(folder, x0)
        if bf16:
            yield f"{DIFFUSERS}, bf16", DiffusersArm(folder, x0, bf16=True)
    if is_installed(LUCIDRAINS):
        from benchmarks.lucidrains_arm import LucidrainsArm

        yield LUCIDRAINS, LucidrainsArm(work, x0)


def is_installed(peer: str) -> bool:
    """Return whether a peer is there to be compared with."""
    return importlib.util.find_spec(peer.replace("-", "_")) is not None


def images(own: NoisetteArm, count: int) -> Tensor:
    """Return prepared images in [-1, 1], on the device."""
    x0 = own.batches[0].x0
    return x0.repeat(-(-count // len(x0)), 1, 1, 1)[:count].to(own.machine.device)


def export_network(setting: Setting, own: NoisetteArm) -> Path:
    """Write noisette's network as diffusers reads it; return the folder."""
    folder = setting.folder / "diffusers"
    export_unet(own.network, cast(UNet, own.experiment.backbone), own.state.data.shape, 0, folder)
    return folder


def size(network: nn.Module, x: Tensor) -> dict[str, float]:
    """Return a network's parameters and the floating point operations of one image, in millions."""
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        network(x[:1], torch.zeros(1, dtype=torch.long, device=x.device))
    return {
        "parameters_m": sum(parameter.numel() for parameter in network.parameters()) / 1e6,
        "mflop": counter.get_total_flops() / 1e6,
    }
