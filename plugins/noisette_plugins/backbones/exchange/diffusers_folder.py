"""Networks in diffusers' folders: `config.json` beside `diffusion_pytorch_model.safetensors`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import nn

from noisette import DataError, Shape
from noisette.training.pretrained import Pretrained
from noisette_plugins.backbones.exchange.diffusers_names import from_diffusers, to_diffusers
from noisette_plugins.backbones.exchange.diffusers_options import config_of, options_of
from noisette_plugins.backbones.exchange.diffusers_process import process_of
from noisette_plugins.backbones.exchange.tensors import read_tensors
from noisette_plugins.backbones.unet import UNet

__all__ = ["export_unet", "load_diffusers"]

_WEIGHTS = "diffusion_pytorch_model.safetensors"
_LABELS = "_noisette_classes"


def load_diffusers(folder: Path | str) -> Pretrained:
    """Read a UNet2DModel: of a pipeline's folder (`unet/` in it, or all in one as in the first versions), or alone.

    Labels: all of UNet2DModel's classes are classes, and "none" adds nothing; but a folder that we exported says
    which of its classes is "none".

    Raises:
        DataError: if it is no such folder, or what it holds cannot be said with `unet`.
    """
    folder = Path(folder)
    home = folder / "unet" if (folder / "unet" / "config.json").is_file() else folder
    config = _read_json(home / "config.json")
    if config.get("_class_name") != "UNet2DModel":
        raise DataError(f"{home / 'config.json'}: expected a UNet2DModel; came {config.get('_class_name')}")
    backbone, settings = options_of(config, home / "config.json")
    labels = settings["num_class_embeds"] or 0
    pretrained = _assembled(home, backbone, settings, config.get(_LABELS, labels))
    return replace(pretrained, process=_process(folder, home)).checked()


def export_unet(network: nn.Module, backbone: UNet, shape: Shape, classes: int, folder: Path) -> None:
    """Write a network of `unet` as a UNet2DModel, which diffusers' `from_pretrained` then reads.

    Args:
        network: what `backbone.build(shape, classes, ...)` returned, trained.
        folder: made if it is not there.

    Raises:
        DataError: if UNet2DModel cannot compute the same.
    """
    state = network.state_dict()
    config = config_of(backbone, shape, classes, len(state["leave.bias"]))
    if classes:
        config[_LABELS] = classes
    folder.mkdir(parents=True, exist_ok=True)
    weights = {name: tensor.detach().cpu().float() for name, tensor in to_diffusers(state).items()}
    save_file(weights, folder / _WEIGHTS, metadata={"format": "pt"})
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")


def _assembled(home: Path, backbone: UNet, settings: Mapping[str, Any], classes: int) -> Pretrained:
    size = settings["sample_size"]
    sides = (size, size) if isinstance(size, int) else size
    inputs, outputs = settings["in_channels"], settings["out_channels"]
    with torch.device("meta"):
        side = 2 ** len(backbone.multipliers)
        names = backbone.build((inputs, side, side), classes, outputs).state_dict()
    state, strange = from_diffusers(_weights(home), names, cosine_first=settings["flip_sin_to_cos"])
    if strange:
        raise DataError(
            f"{home / _WEIGHTS}: {len(strange)} weights are missing or unknown: {', '.join(strange[:4])}"
        )
    if classes and classes == settings["num_class_embeds"]:
        table = state["embedding.label.weight"]
        state["embedding.label.weight"] = torch.cat([table, torch.zeros_like(table[:1])])
    return Pretrained(home, backbone, inputs, outputs, classes, sides and tuple(sides), state)


def _weights(home: Path) -> dict[str, torch.Tensor]:
    if not (home / _WEIGHTS).is_file():
        there = (
            ", ".join(sorted(path.name for path in home.glob("diffusion_pytorch_model*"))) or "no weights at all"
        )
        raise DataError(
            f"{home}: expected {_WEIGHTS}; there is {there}. Weights that are pickled are not read: "
            "save them again with diffusers, save_pretrained(..., safe_serialization=True)"
        )
    return read_tensors(home / _WEIGHTS)


def _process(folder: Path, home: Path) -> dict[str, Any]:
    for path in (folder / "scheduler" / "scheduler_config.json", home / "scheduler_config.json"):
        if path.is_file():
            return process_of(_read_json(path), path)
    return {}


def _read_json(path: Path) -> dict[str, Any]:
    try:
        read = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DataError(f"{path}: is missing; expected a folder that diffusers' save_pretrained wrote") from None
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: cannot be read: {error}") from None
    if not isinstance(read, dict):
        raise DataError(f"{path}: expected a JSON object")
    return read
