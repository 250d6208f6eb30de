"""The options of `unet` and the config of diffusers' UNet2DModel, each said by the other."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from noisette import DataError, Shape
from noisette_plugins.backbones.exchange.schema import UNet2D
from noisette_plugins.backbones.unet import UNet

__all__ = ["config_of", "options_of"]

_FIXED: dict[str, tuple[Any, ...]] = {
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
"""Settings that `unet` has no option for, with the values that it keeps."""


def options_of(config: Mapping[str, Any], source: Path) -> tuple[UNet, UNet2D]:
    """Return the backbone that a UNet2DModel's config describes, and all settings that were read.

    Raises:
        DataError: naming the setting that `unet` cannot follow.
    """
    settings = _settings(config, source)
    widths, blocks = settings.block_out_channels, settings.down_block_types
    _require(
        all(width % widths[0] == 0 for width in widths),
        f"{source}: block_out_channels: expected multiples of the first; came {list(widths)}",
    )
    attention = tuple(
        level for level, block in enumerate(blocks) if block.removeprefix("UNetRes").startswith("Attn")
    )
    try:
        backbone = UNet(
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


def _settings(config: Mapping[str, Any], source: Path) -> UNet2D:
    """Return every setting that is read, after looking at those that are not."""
    for key, value in config.items():
        if key.startswith("_"):
            continue
        _require(
            key in _FIXED or key in UNet2D.model_fields,
            f"{source}: {key:.80}: unet knows no such setting of UNet2DModel",
        )
        allowed = _FIXED.get(key, (value,))
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


def config_of(backbone: UNet, shape: Shape, classes: int, outputs: int) -> dict[str, Any]:
    """Return the config of a UNet2DModel that computes the same.

    Raises:
        DataError: if there is none.
    """
    channels, height, width = shape
    levels = range(len(backbone.multipliers))
    attends = [level in backbone.attention for level in levels]
    _check_told(backbone, shape)
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


def _check_told(backbone: UNet, shape: Shape) -> None:
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


def _head_channels(backbone: UNet) -> int | None:
    """Return diffusers' attention_head_dim: channels of a head, the same at every level; None is one head."""
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
