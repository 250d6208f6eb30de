"""Checkpoints of the denoising-diffusion-pytorch library, read into `linear-attention-unet`.

Nothing but tensors is in them: the options follow from names and shapes, and the process from its tables.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from torch import Tensor

from noisette import DataError
from noisette.training.pretrained import Pretrained
from noisette_plugins.backbones.exchange.lucidrains_process import process_in
from noisette_plugins.backbones.exchange.tensors import read_archive, read_tensors
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
    inputs, outputs = _size(state, "enter.weight", 1, 4, path), _size(state, "leave.bias", 0, 1, path)
    if inputs > outputs:
        raise DataError(
            f"{path}: takes {inputs} channels and gives {outputs}: a self-conditioned network, which we cannot run"
        )
    model = read.get("model", read)
    process = process_in(model if isinstance(model, Mapping) else {}, path)
    return Pretrained(path, backbone, inputs, outputs, 0, None, state, process).checked()


def from_lucidrains(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return a state of the library's `Unet` under our names; a weight that we have not keeps its own."""
    renamed = {_ours(name): tensor.float() for name, tensor in state.items()}
    for name, tensor in renamed.items():
        # linear attention keeps its memory with the positions last
        linear = name.endswith(".memory") and name.replace(".memory", ".leave.gain") in renamed
        if linear and tensor.ndim > 1:
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
    levels = range(len({name.split(".")[1] for name in state if name.startswith("down.")}))
    channels = _size(state, "embedding.inner.bias", 0, 1, path) // 4
    memory = "middle_attention.memory"
    heads, positions, head_channels = (_size(state, memory, axis, 4, path) for axis in (1, 2, 3))
    rates = "embedding.waves.rates"
    try:
        return LinearAttentionUNet(
            channels=channels,
            multipliers=tuple(
                _size(state, _resize(state, level), 0, 1, path) // max(channels, 1) for level in levels
            ),
            full_attention=tuple(level for level in levels if f"down.{level}.attention.leave.gain" not in state),
            heads=heads,
            memory=positions,
            head_channels=head_channels,
            time="learned" if rates in state else "fixed",
            time_waves=_size(state, rates, 0, 1, path) if rates in state else 8,
        )
    except ValidationError as error:
        raise DataError(f"{path}: is not like the library's Unet of today: {error}") from None


def _resize(state: Mapping[str, Tensor], level: int) -> str:
    """Return the name of the bias of the layer that ends a level."""
    name = f"down.{level}.resize"
    return f"{name}.1.bias" if f"{name}.1.bias" in state else f"{name}.bias"


def _network_in(read: Mapping[str, Any], path: Path, ema: bool) -> dict[str, Tensor]:
    """Return the network's own weights, without the prefixes of what it was wrapped in."""
    averaged, plain = read.get("ema"), read.get("model", read)
    wrapped = averaged if ema and isinstance(averaged, Mapping) else plain
    named = (
        {name: value for name, value in wrapped.items() if isinstance(name, str)}
        if isinstance(wrapped, Mapping)
        else {}
    )
    prefixes = [name.removesuffix(_ENTRY) for name in named if name.endswith(_ENTRY)]
    if not prefixes:
        raise DataError(f"{path}: expected a Unet of denoising-diffusion-pytorch; there is no {_ENTRY} in it")
    prefix = next((each for each in prefixes if "ema" in each), prefixes[0])
    return {
        name.removeprefix(prefix): tensor
        for name, tensor in named.items()
        if name.startswith(prefix) and isinstance(tensor, Tensor) and _is_weight(name.removeprefix(prefix))
    }


def _is_weight(name: str) -> bool:
    return "." in name  # the buffers of the process around it have bare names


def _read(path: Path) -> Mapping[str, Any]:
    return read_tensors(path) if path.suffix == ".safetensors" else read_archive(path)


def _size(state: Mapping[str, Tensor], name: str, axis: int, dimensions: int, path: Path) -> int:
    """Return one side of a weight that must be there with so many dimensions."""
    weight = state.get(name)
    if weight is None or weight.ndim != dimensions:
        came = "none" if weight is None else tuple(weight.shape)
        raise DataError(
            f"{path}: is not like the library's Unet of today: {name}: expected {dimensions} dimensions; "
            f"came {came}"
        )
    return weight.shape[axis]
