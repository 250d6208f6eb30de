"""Conversion between diffusers' UNet2DModel and `unet`: names of weights, and options."""

# ruff: noqa: D102

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Protocol

import torch
from pydantic import ValidationError
from torch import Tensor, nn

from noisette import Backbone, DataError, Shape
from noisette_plugins.backbones.exchange.foreign_config import UNet2D

__all__ = ["UNetLike", "from_diffusers", "make_config", "parse_unet", "to_diffusers"]


class UNetLike(Protocol):
    """The attributes of `UNet` that are used here; its options describe them."""

    @property
    def channels(self) -> int: ...

    @property
    def multipliers(self) -> tuple[int, ...]: ...

    @property
    def blocks(self) -> int: ...

    @property
    def attention(self) -> tuple[int, ...]: ...

    @property
    def heads(self) -> int: ...

    @property
    def head_channels(self) -> int | None: ...

    @property
    def groups(self) -> int: ...

    @property
    def dropout(self) -> float: ...

    @property
    def epsilon(self) -> float: ...

    @property
    def time_channels(self) -> int | None: ...

    @property
    def time_shift(self) -> int: ...

    @property
    def padding(self) -> str: ...

    def build(self, shape: Shape, classes: int, outputs: int) -> nn.Module: ...


_BLOCKS = (
    (r"enter", "conv_in"),
    (r"embedding\.inner", "time_embedding.linear_1"),
    (r"embedding\.outer", "time_embedding.linear_2"),
    (r"embedding\.label", "class_embedding"),
    (r"(down|up)\.(\d+)\.(\d+)\.block", r"\1_blocks.\2.resnets.\3"),
    (r"(down|up)\.(\d+)\.(\d+)\.attention", r"\1_blocks.\2.attentions.\3"),
    (r"shrink\.(\d+)\.convolution", r"down_blocks.\1.downsamplers.0"),
    (r"grow\.(\d+)\.convolution", r"up_blocks.\1.upsamplers.0"),
    (r"middle1", "mid_block.resnets.0"),
    (r"middle2", "mid_block.resnets.1"),
    (r"middle_attention", "mid_block.attentions.0"),
    (r"norm", "conv_norm_out"),
    (r"leave", "conv_out"),
)

_RESIDUAL = {"embed": "time_emb_proj", "skip": "conv_shortcut"}

_ATTENTION = {"norm": ("group_norm",), "qkv": ("to_q", "to_k", "to_v"), "project": ("to_out.0",)}

_OLD_NAMES = {"query": "to_q", "key": "to_k", "value": "to_v", "proj_attn": "to_out.0"}


def to_diffusers(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return a state dict of `UNetNetwork` with diffusers' names."""
    renamed = {}
    for name, tensor in state.items():
        theirs = _diffusers_names(name)
        matrix = tensor.flatten(1) if _is_matrix(name) else tensor
        for key, part in zip(theirs, matrix.chunk(len(theirs)), strict=True):
            renamed[key] = part.contiguous()
    return renamed


def from_diffusers(
    state: Mapping[str, Tensor], names: Iterable[str], *, cosine_first: bool
) -> tuple[dict[str, Tensor], list[str]]:
    """Return weights under the names of a `UNetNetwork`, and the names of missing and unused weights.

    Args:
        state: weights of UNet2DModel; the attention's may have the names of its first versions.
        names: the state names of a `UNetNetwork`.
        cosine_first: whether the timestep embedding of the source begins with the cosines.
    """
    rest = {_current_name(key): tensor.float() for key, tensor in state.items()}
    ours, missing = {}, []
    for name in names:
        parts = [rest.pop(key, None) for key in _diffusers_names(name)]
        found = [part for part in parts if part is not None]
        if len(found) < len(parts):
            missing.append(_diffusers_names(name)[0])
            continue
        tensor = torch.cat(found)
        ours[name] = tensor.view(*tensor.shape[:2], 1, 1) if _is_matrix(name) else tensor
    if cosine_first and "embedding.inner.weight" in ours:
        cosine, sine = ours["embedding.inner.weight"].chunk(2, dim=1)
        ours["embedding.inner.weight"] = torch.cat([sine, cosine], dim=1)
    return ours, [*missing, *rest]


def _diffusers_names(name: str) -> list[str]:
    """Return diffusers' names for one weight: one name, or those of its three parts."""
    for ours, theirs in _BLOCKS:
        found = re.match(rf"{ours}\.", name)
        if found:
            block, (*layers, kind) = found.expand(theirs), name[found.end() :].split(".")
            return [f"{'.'.join([block, *parts])}.{kind}" for parts in _diffusers_layers(block, layers)]
    return [name]


def _diffusers_layers(block: str, layers: list[str]) -> list[list[str]]:
    if not layers:
        return [[]]
    if ".attentions." in block:
        return [[part] for part in _ATTENTION[layers[0]]]
    return [[_RESIDUAL.get(layer, layer) for layer in layers]]


def _is_matrix(name: str) -> bool:
    return name.endswith(("attention.qkv.weight", "attention.project.weight"))


def _current_name(key: str) -> str:
    """Return the current name of a weight that had another name in the first versions."""
    block, _, kind = key.rpartition(".")
    parent, _, layer = block.rpartition(".")
    return f"{parent}.{_OLD_NAMES[layer]}.{kind}" if layer in _OLD_NAMES and ".attentions." in block else key


_FIXED_SETTINGS: dict[str, tuple[Any, ...]] = {
    "act_fn": ("silu", "swish"),
    "add_attention": (True,),
    "attn_norm_num_groups": (None,),
    "center_input_sample": (False,),
    "class_embed_type": (None,),
    "downsample_type": ("conv",),
    "mid_block_scale_factor": (1,),
    "mid_block_type": ("UNetMidBlock2D",),
    "resnet_time_scale_shift": ("default",),
    "time_embedding_type": ("positional",),
    "upsample_type": ("conv",),
}
"""Settings without an option in `unet`, with the values that it uses."""


def parse_unet(kind: Callable[..., Backbone], config: Mapping[str, Any], source: Path) -> tuple[Backbone, UNet2D]:
    """Return the backbone that a UNet2DModel's config describes, created by `kind`, and the settings read.

    Raises:
        DataError: with the name of a setting that `unet` does not support.
    """
    settings = _parse_settings(config, source)
    widths, blocks = settings.block_out_channels, settings.down_block_types
    _require(
        all(width % widths[0] == 0 for width in widths),
        f"{source}: block_out_channels: expected multiples of the first; came {list(widths)}",
    )
    attention = tuple(
        level for level, block in enumerate(blocks) if block.removeprefix("UNetRes").startswith("Attn")
    )
    try:
        backbone = kind(
            channels=widths[0],
            multipliers=tuple(width // widths[0] for width in widths),
            blocks=settings.layers_per_block,
            attention=attention,
            head_channels=settings.attention_head_dim,
            groups=settings.norm_num_groups,
            dropout=settings.dropout,
            epsilon=settings.norm_eps,
            time_shift=settings.freq_shift,
            padding="around" if settings.downsample_padding else "right",
        )
    except ValidationError as error:
        first = error.errors()[0]
        raise DataError(f"{source}: unet cannot follow it: {first['loc']}: {first['msg']}") from None
    return backbone, settings


def _parse_settings(config: Mapping[str, Any], source: Path) -> UNet2D:
    """Return the settings that are read, after checking the others."""
    for key, value in config.items():
        if key.startswith("_"):
            continue
        _require(
            key in _FIXED_SETTINGS or key in UNet2D.model_fields,
            f"{source}: {key:.80}: unet knows no such setting of UNet2DModel",
        )
        allowed = _FIXED_SETTINGS.get(key, (value,))
        _require(value in allowed, f"{source}: {key}: expected {allowed[0]!r}, as unet has it; came {value!r:.80}")
    settings = UNet2D.read(config, source)
    wide = 4 * settings.block_out_channels[0]
    _require(
        settings.time_embedding_dim in (None, wide),
        f"{source}: time_embedding_dim: expected {wide}; came {settings.time_embedding_dim}",
    )
    _check_blocks(settings, source)
    return settings


def _check_blocks(settings: UNet2D, source: Path) -> None:
    down, up = (
        [block.removeprefix("UNetRes") for block in blocks]
        for blocks in (settings.down_block_types, settings.up_block_types)
    )
    mirrored = [block.replace("Up", "Down") for block in reversed(up)]
    known = {"DownBlock2D", "AttnDownBlock2D"}
    _require(
        set(down) <= known and down == mirrored and len(down) == len(settings.block_out_channels),
        f"{source}: expected DownBlock2D and AttnDownBlock2D, one a level, and their mirror image on the way up; "
        f"came {', '.join(down)} and {', '.join(up)}",
    )


def make_config(backbone: UNetLike, shape: Shape, classes: int, outputs: int) -> dict[str, Any]:
    """Return the config of a UNet2DModel that computes the same.

    Raises:
        DataError: if there is no such config.
    """
    channels, height, width = shape
    levels = range(len(backbone.multipliers))
    attends = [level in backbone.attention for level in levels]
    _check_exportable(backbone, shape)
    return {
        "_class_name": "UNet2DModel",
        "act_fn": "silu",
        "attention_head_dim": _head_channels(backbone),
        "block_out_channels": [backbone.channels * multiplier for multiplier in backbone.multipliers],
        "center_input_sample": False,
        "down_block_types": [f"{'Attn' * here}DownBlock2D" for here in attends],
        "downsample_padding": 1 if backbone.padding == "around" else 0,
        "dropout": backbone.dropout,
        "flip_sin_to_cos": False,
        "freq_shift": backbone.time_shift,
        "in_channels": channels,
        "layers_per_block": backbone.blocks,
        "norm_eps": backbone.epsilon,
        "norm_num_groups": backbone.groups,
        "num_class_embeds": classes + 1 if classes else None,
        "out_channels": outputs,
        "sample_size": height if height == width else [height, width],
        "time_embedding_type": "positional",
        "up_block_types": [f"{'Attn' * here}UpBlock2D" for here in reversed(attends)],
    }


def _check_exportable(backbone: UNetLike, shape: Shape) -> None:
    factor = 2 ** (len(backbone.multipliers) - 1)
    _require(
        shape[1] % factor == 0 and shape[2] % factor == 0,
        f"diffusers' UNet2DModel needs sides that are multiples of {factor}; "
        f"the network is for {shape[1]}x{shape[2]}",
    )
    _require(
        backbone.multipliers[0] == 1 and backbone.time_channels in (None, backbone.channels),
        "diffusers' UNet2DModel tells the step by as many sines and cosines as its first level has channels; "
        f"the network has multipliers {list(backbone.multipliers)} and time_channels {backbone.time_channels}",
    )


def _head_channels(backbone: UNetLike) -> int | None:
    """Return diffusers' attention_head_dim: channels per head, the same at every level; None means one head."""
    if backbone.head_channels is not None or backbone.heads == 1:
        return backbone.head_channels
    attending = {*backbone.attention, len(backbone.multipliers) - 1}
    sizes = {backbone.channels * backbone.multipliers[level] // backbone.heads for level in attending}
    _require(
        len(sizes) == 1,
        f"diffusers' UNet2DModel has heads of one size; the network has {backbone.heads} heads at each level, "
        f"of {', '.join(map(str, sorted(sizes)))} channels",
    )
    return sizes.pop()


def _require(holds: bool, otherwise: str) -> None:
    if not holds:
        raise DataError(otherwise)
