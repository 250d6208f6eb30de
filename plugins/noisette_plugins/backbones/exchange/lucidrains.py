"""Checkpoints of the denoising-diffusion-pytorch library, read into `linear-attention-unet`.

They contain only tensors: the options are inferred from names and shapes, and the process from its tables.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError
from torch import Tensor

from noisette import Backbone, DataError
from noisette.plugin_api import Pretrained
from noisette_plugins.backbones.exchange.diffusers_folder import find_schedule
from noisette_plugins.backbones.exchange.foreign_config import read_archive, read_tensors

__all__ = ["from_lucidrains", "load_lucidrains", "parse_process"]

_ROUNDING = 1e-4
"""The tables are float32, and the betas are differences of nearly equal numbers."""


def parse_process(state: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """Return the keys `schedule`, `timesteps` and `objective` of a saved state; nothing if it has no process.

    Args:
        state: of `GaussianDiffusion`, or of its Unet alone, which has no process.

    Raises:
        DataError: if there are tables, and they do not describe a process.
    """
    betas = _table(state, "betas")
    if betas is None:
        return {}
    if betas.ndim != 1 or not len(betas) or not bool(((betas > 0) & (betas <= 1)).all()):
        raise DataError(f"{path}: betas: expected variances within 0 and 1, (T,); they are damaged")
    process = {"schedule": find_schedule(betas.tolist(), _ROUNDING), "timesteps": len(betas)}
    weight = _table(state, "loss_weight")
    return process if weight is None else {**process, "objective": _find_objective(betas, weight, path)}


def _find_objective(betas: Tensor, weight: Tensor, path: Path) -> str:
    signal = (1 - betas).cumprod(0)
    snr = signal / (1 - signal)
    known = {"eps": torch.ones_like(snr), "x0": snr, "v": snr / (snr + 1)}
    fits = [
        name for name, plain in known.items() if weight.shape == snr.shape and _has_weighting(weight, plain, snr)
    ]
    if len(fits) != 1:
        raise DataError(f"{path}: loss_weight: expected that of eps, x0 or v; it is none of them")
    return fits[0]


def _has_weighting(weight: Tensor, plain: Tensor, snr: Tensor) -> bool:
    """Return whether a loss has the given weighting: plain, or with snr clamped to a maximum."""
    ratio = weight * snr / plain  # snr itself, or clamped
    return torch.allclose(ratio, snr.clamp(max=float(ratio.max())), rtol=1e-2, atol=1e-7)


def _table(state: Mapping[str, Any], name: str) -> Tensor | None:
    found = state.get(name)
    return found.double() if isinstance(found, Tensor) else None


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


def load_lucidrains(kind: Callable[..., Backbone], path: Path | str, *, ema: bool = True) -> Pretrained:
    """Read a `Unet` of the library: its state dict, the file of its `Trainer` (`model-*.pt`), or safetensors.

    Values missing from the file are the library's defaults: fixed frequencies go down to 1 / 10000, and stored
    frequencies are learned.

    Args:
        kind: `LinearAttentionUNet`, called with the options that are found.
        path: the file; a pickled one is read without executing code.
        ema: whether to use the averaged weights, if there are any.

    Raises:
        DataError: if it is not such a file, or its network is not supported.
    """
    path = Path(path)
    read = _read_file(path)
    theirs = _extract_network(read, path, ema)
    state = from_lucidrains(theirs)
    backbone = _make_backbone(kind, state, path)
    inputs, outputs = _dimension(state, "enter.weight", 1, 4, path), _dimension(state, "leave.bias", 0, 1, path)
    if inputs > outputs:
        raise DataError(
            f"{path}: takes {inputs} channels and gives {outputs}: a self-conditioned network, which we cannot run"
        )
    model = read.get("model", read)
    process = parse_process(model if isinstance(model, Mapping) else {}, path)
    return Pretrained(path, backbone, inputs, outputs, 0, None, state, process).validate()


def from_lucidrains(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return a state dict of the library's `Unet` with our names; unknown weights keep their names."""
    renamed = {_our_name(name): tensor.float() for name, tensor in state.items()}
    for name, tensor in renamed.items():
        # linear attention stores its memory with the positions last
        linear = name.endswith(".memory") and name.replace(".memory", ".leave.gain") in renamed
        if linear and tensor.ndim > 1:
            renamed[name] = tensor.transpose(-1, -2).contiguous()
    return renamed


def _our_name(name: str) -> str:
    level = re.match(r"(down|up)s\.(\d+)\.([0-3])\.", name)
    if level:
        name = f"{level[1]}.{level[2]}.{_LEVEL[level[3]]}.{name[level.end() :]}"
    for pattern, ours in _RENAMES:
        name = re.sub(pattern, ours, name)
    return name


def _make_backbone(kind: Callable[..., Backbone], state: Mapping[str, Tensor], path: Path) -> Backbone:
    """Return the backbone with these weights."""
    levels = range(len({name.split(".")[1] for name in state if name.startswith("down.")}))
    channels = _dimension(state, "embedding.inner.bias", 0, 1, path) // 4
    memory = "middle_attention.memory"
    heads, positions, head_channels = (_dimension(state, memory, axis, 4, path) for axis in (1, 2, 3))
    rates = "embedding.waves.rates"
    try:
        return kind(
            channels=channels,
            multipliers=tuple(
                _dimension(state, _resize_bias(state, level), 0, 1, path) // max(channels, 1) for level in levels
            ),
            full_attention=tuple(level for level in levels if f"down.{level}.attention.leave.gain" not in state),
            heads=heads,
            memory=positions,
            head_channels=head_channels,
            time="learned" if rates in state else "fixed",
            time_waves=_dimension(state, rates, 0, 1, path) if rates in state else 8,
        )
    except ValidationError as error:
        raise DataError(f"{path}: is not like the library's Unet of today: {error}") from None


def _resize_bias(state: Mapping[str, Tensor], level: int) -> str:
    """Return the name of the bias of a level's last layer."""
    name = f"down.{level}.resize"
    return f"{name}.1.bias" if f"{name}.1.bias" in state else f"{name}.bias"


def _extract_network(read: Mapping[str, Any], path: Path, ema: bool) -> dict[str, Tensor]:
    """Return the network's own weights, without the prefixes of wrappers."""
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
    return "." in name  # the buffers of the surrounding process have names without dots


def _read_file(path: Path) -> Mapping[str, Any]:
    return read_tensors(path) if path.suffix == ".safetensors" else read_archive(path)


def _dimension(state: Mapping[str, Tensor], name: str, axis: int, dimensions: int, path: Path) -> int:
    """Return one dimension of a required weight with the given number of dimensions."""
    weight = state.get(name)
    if weight is None or weight.ndim != dimensions:
        actual = "none" if weight is None else tuple(weight.shape)
        raise DataError(
            f"{path}: is not like the library's Unet of today: {name}: expected {dimensions} dimensions; "
            f"came {actual}"
        )
    return weight.shape[axis]
