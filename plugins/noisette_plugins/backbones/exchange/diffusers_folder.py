"""Networks in diffusers folders: `config.json` and `diffusion_pytorch_model.safetensors`."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import nn

from noisette import Backbone, DataError, Shape
from noisette.plugin_api import Pretrained
from noisette_plugins.backbones.exchange.diffusers_process import parse_scheduler
from noisette_plugins.backbones.exchange.diffusers_unet import (
    UNetLike,
    from_diffusers,
    make_config,
    parse_unet,
    to_diffusers,
)
from noisette_plugins.backbones.exchange.foreign_config import UNet2D, read_json, read_tensors

__all__ = ["export_unet", "load_diffusers"]

_WEIGHTS = "diffusion_pytorch_model.safetensors"
_LABELS = "_noisette_classes"


def load_diffusers(kind: Callable[..., Backbone], folder: Path | str) -> Pretrained:
    """Read a UNet2DModel, from the folder of a pipeline or its own.

    The pipeline may have the model in `unet/` or, as in the first versions, in the folder itself. All classes of a
    UNet2DModel become classes, and "none" adds nothing, except that a folder exported by noisette marks one of its
    classes as "none".

    Args:
        kind: `UNet`, called with the options that are found.
        folder: a folder in diffusers' format.

    Raises:
        DataError: if it is not such a folder, or `unet` does not support its contents.
    """
    folder = Path(folder)
    home = folder / "unet" if (folder / "unet" / "config.json").is_file() else folder
    config = read_json(home / "config.json")
    if config.get("_class_name") != "UNet2DModel":
        raise DataError(f"{home / 'config.json'}: expected a UNet2DModel; came {config.get('_class_name')!s:.80}")
    backbone, settings = parse_unet(kind, config, home / "config.json")
    classes = (settings.num_class_embeds or 0) if settings.classes is None else settings.classes
    pretrained = _assemble(home, backbone, settings, classes)
    return replace(pretrained, process=_process(folder, home)).validate()


def export_unet(network: nn.Module, backbone: UNetLike, shape: Shape, classes: int, folder: Path) -> None:
    """Write a network of `unet` as a UNet2DModel, which diffusers' `from_pretrained` can read.

    Args:
        network: a trained network returned by `backbone.build(shape, classes, ...)`.
        folder: created if it does not exist.

    Raises:
        DataError: if UNet2DModel does not support the network.
    """
    state = network.state_dict()
    config = make_config(backbone, shape, classes, len(state["leave.bias"]))
    if classes:
        config[_LABELS] = classes
    folder.mkdir(parents=True, exist_ok=True)
    weights = {name: tensor.detach().cpu().float() for name, tensor in to_diffusers(state).items()}
    save_file(weights, folder / _WEIGHTS, metadata={"format": "pt"})
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")


def _assemble(home: Path, backbone: Backbone, settings: UNet2D, classes: int) -> Pretrained:
    size = settings.sample_size
    sides = (size, size) if isinstance(size, int) else size
    weights = _weights(home)
    levels = len(settings.block_out_channels)
    blocks = levels * settings.layers_per_block
    if len(weights) < blocks:  # before a network of the config's size is built
        raise DataError(f"{home / _WEIGHTS}: {len(weights)} weights are too few for {blocks} blocks")
    with torch.device("meta"):
        side = 2**levels
        network = backbone.build((settings.in_channels, side, side), classes, settings.out_channels)
    try:
        state, unmatched = from_diffusers(weights, network.state_dict(), cosine_first=settings.flip_sin_to_cos)
        if classes and classes == settings.num_class_embeds and not unmatched:
            table = state["embedding.label.weight"]
            state["embedding.label.weight"] = torch.cat([table, torch.zeros_like(table[:1])])
    except (RuntimeError, IndexError) as error:  # tensors whose shapes do not match
        raise DataError(f"{home / _WEIGHTS}: weights do not fit the config: {error}") from None
    if unmatched:
        raise DataError(
            f"{home / _WEIGHTS}: {len(unmatched)} weights are missing or unknown: {', '.join(unmatched[:4])}"
        )
    return Pretrained(home, backbone, settings.in_channels, settings.out_channels, classes, sides, state)


def _weights(home: Path) -> dict[str, torch.Tensor]:
    if not (home / _WEIGHTS).is_file():
        present = (
            ", ".join(sorted(path.name for path in home.glob("diffusion_pytorch_model*"))) or "no weights at all"
        )
        raise DataError(
            f"{home}: expected {_WEIGHTS}; there is {present}. Weights that are pickled are not read: "
            "save them again with diffusers, save_pretrained(..., safe_serialization=True)"
        )
    return read_tensors(home / _WEIGHTS)


def _process(folder: Path, home: Path) -> dict[str, Any]:
    for path in (folder / "scheduler" / "scheduler_config.json", home / "scheduler_config.json"):
        if path.is_file():
            return parse_scheduler(read_json(path), path)
    return {}
