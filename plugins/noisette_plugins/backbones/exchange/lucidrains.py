"""Checkpoints of the denoising-diffusion-pytorch library, read into `linear-attention-unet`.

Nothing but tensors is in them: the options follow from names and shapes, and the process from its tables.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError
from torch import Tensor

from noisette import DataError
from noisette.training.pretrained import Pretrained
from noisette_plugins.backbones.exchange.lucidrains_process import process_in
from noisette_plugins.backbones.exchange.tensors import read_tensors
from noisette_plugins.backbones.linear_attention_unet import LinearAttentionUNet

__all__ = ["from_lucidrains", "load_lucidrains"]

_ENTRY = "init_conv.weight"

_LEVEL = {"0": "block1", "1": "block2", "2": "attention", "3": "resize"}

_RENAMES = (
    (r"^init_conv\.", "enter."),
    (r"^time_mlp\.0\.weights$", "embedding.waves.rates"),
    (r"^time_mlp\.1\.", "embedding.inner."),
    (r"^time_mlp\.3\.", "embedding.outer."),
    (r"^mid_block([12])\.", r"middle\1."),
    (r"^mid_attn\.", "middle_attention."),
    (r"^final_res_block\.", "last."),
    (r"^final_conv\.", "leave."),
    (r"\.mlp\.1\.", ".embed."),
    (r"\.block([12])\.proj\.", r".conv\1."),
    (r"\.block([12])\.norm\.g$", r".norm\1.gain"),
    (r"\.res_conv\.", ".skip."),
    (r"\.norm\.g$", ".norm.gain"),
    (r"\.mem_kv$", ".memory"),
    (r"\.to_qkv\.", ".qkv."),
    (r"\.to_out\.0\.", ".project."),
    (r"\.to_out\.1\.g$", ".leave.gain"),
    (r"\.to_out\.(weight|bias)$", r".project.\1"),
)


def load_lucidrains(path: Path | str, *, ema: bool = True) -> Pretrained:
    """Read a `Unet` of the library: its own state, or the file of its `Trainer` (`model-*.pt`), or safetensors.

    What the file does not say is taken as the library's default: fixed rates go down to 1 / 10000, and rates that
    are stored are learned ones.

    Args:
        path: the file; a pickled one is read without executing anything.
        ema: take the averaged weights where there are some.

    Raises:
        DataError: if it is no such file, or of a network that we cannot build.
    """
    path = Path(path)
    read = _read(path)
    theirs = _network_in(read, path, ema)
    state = from_lucidrains(theirs)
    backbone = _options(state, path)
    inputs, outputs = state["enter.weight"].shape[1], len(state["leave.bias"])
    if inputs > outputs:
        raise DataError(
            f"{path}: takes {inputs} channels and gives {outputs}: a self-conditioned network, which we cannot run"
        )
    process = process_in(read.get("model", read), path)
    return Pretrained(path, backbone, inputs, outputs, 0, None, state, process).checked()


def from_lucidrains(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return a state of the library's `Unet` under our names; a weight that we have not keeps its own."""
    renamed = {_ours(name): tensor.float() for name, tensor in state.items()}
    for name, tensor in renamed.items():
        # linear attention keeps its memory with the positions last
        if name.endswith(".memory") and name.replace(".memory", ".leave.gain") in renamed:
            renamed[name] = tensor.transpose(-1, -2).contiguous()
    return renamed


def _ours(name: str) -> str:
    level = re.match(r"(down|up)s\.(\d+)\.([0-3])\.", name)
    if level:
        name = f"{level[1]}.{level[2]}.{_LEVEL[level[3]]}.{name[level.end() :]}"
    for pattern, ours in _RENAMES:
        name = re.sub(pattern, ours, name)
    return name


def _options(state: Mapping[str, Tensor], path: Path) -> LinearAttentionUNet:
    """Return the backbone whose weights these are."""
    levels = len({name.split(".")[1] for name in state if name.startswith("down.")})
    try:
        channels = len(state["embedding.inner.bias"]) // 4
        widths = [len(_resize(state, level)) for level in range(levels)]
        memory = state["middle_attention.memory"]
        rates = state.get("embedding.waves.rates")
        return LinearAttentionUNet(
            channels=channels,
            multipliers=tuple(width // channels for width in widths),
            full_attention=tuple(
                level for level in range(levels) if f"down.{level}.attention.leave.gain" not in state
            ),
            heads=memory.shape[1],
            memory=memory.shape[2],
            head_channels=memory.shape[3],
            time="fixed" if rates is None else "learned",
            time_waves=8 if rates is None else len(rates),
        )
    except (KeyError, ValidationError) as error:
        raise DataError(f"{path}: is not like the library's Unet of today: {error}") from None


def _resize(state: Mapping[str, Tensor], level: int) -> Tensor:
    """Return the bias of the layer that ends a level."""
    name = f"down.{level}.resize"
    return state.get(f"{name}.1.bias", state.get(f"{name}.bias", torch.empty(0)))


def _network_in(read: Mapping[str, Any], path: Path, ema: bool) -> dict[str, Tensor]:
    """Return the network's own weights, without the prefixes of what it was wrapped in."""
    averaged, plain = read.get("ema"), read.get("model", read)
    wrapped = averaged if ema and isinstance(averaged, Mapping) else plain
    prefixes = [str(name).removesuffix(_ENTRY) for name in wrapped if str(name).endswith(_ENTRY)]
    if not prefixes:
        raise DataError(f"{path}: expected a Unet of denoising-diffusion-pytorch; there is no {_ENTRY} in it")
    prefix = next((each for each in prefixes if "ema" in each), prefixes[0])
    return {
        name.removeprefix(prefix): tensor
        for name, tensor in wrapped.items()
        if name.startswith(prefix) and isinstance(tensor, Tensor) and _is_weight(name.removeprefix(prefix))
    }


def _is_weight(name: str) -> bool:
    return "." in name  # the buffers of the process around it have bare names


def _read(path: Path) -> Mapping[str, Any]:
    if path.suffix == ".safetensors":
        return read_tensors(path)
    try:
        read = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise DataError(f"{path}: is missing") from None
    except Exception as error:  # what is not a pickle, or is one of code, can raise anything
        first = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DataError(f"{path}: is no file of tensors alone, or damaged: {first}") from None
    if not isinstance(read, Mapping):
        raise DataError(f"{path}: expected weights by name; came {type(read).__name__}")
    return read
