"""What the weights of `unet` are called in diffusers' UNet2DModel.

Both number the blocks in the same order. diffusers keeps queries, keys and values apart, as matrices; here they
are one convolution of 1 x 1. It may put cosines before sines; here the sines come first, and the columns of the
layer behind them change places.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

import torch
from torch import Tensor

__all__ = ["from_diffusers", "to_diffusers"]

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

_OLD = {"query": "to_q", "key": "to_k", "value": "to_v", "proj_attn": "to_out.0"}


def to_diffusers(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return a state of `UNetNetwork` under diffusers' names."""
    renamed = {}
    for name, tensor in state.items():
        theirs = _theirs(name)
        matrix = tensor.flatten(1) if _is_matrix(name) else tensor
        for key, part in zip(theirs, matrix.chunk(len(theirs)), strict=True):
            renamed[key] = part.contiguous()
    return renamed


def from_diffusers(
    state: Mapping[str, Tensor], names: Iterable[str], *, cosine_first: bool
) -> tuple[dict[str, Tensor], list[str]]:
    """Return the weights that a network calls `names`; and what was missing or left over, by their names.

    Args:
        state: weights of UNet2DModel; the attention's may have the names of its first versions.
        names: the state names of a `UNetNetwork`.
        cosine_first: whether their embedding begins with the cosines.
    """
    rest = {_renewed(key): tensor.float() for key, tensor in state.items()}
    ours, missing = {}, []
    for name in names:
        parts = [rest.pop(key, None) for key in _theirs(name)]
        found = [part for part in parts if part is not None]
        if len(found) < len(parts):
            missing.append(_theirs(name)[0])
            continue
        tensor = torch.cat(found)
        ours[name] = tensor.view(*tensor.shape[:2], 1, 1) if _is_matrix(name) else tensor
    if cosine_first and "embedding.inner.weight" in ours:
        cosine, sine = ours["embedding.inner.weight"].chunk(2, dim=1)
        ours["embedding.inner.weight"] = torch.cat([sine, cosine], dim=1)
    return ours, [*missing, *rest]


def _theirs(name: str) -> list[str]:
    """Return what one of our weights is called there: one name, or those of its three parts."""
    for ours, theirs in _BLOCKS:
        found = re.match(rf"{ours}\.", name)
        if found:
            block, (*layers, kind) = found.expand(theirs), name[found.end() :].split(".")
            return [f"{'.'.join([block, *parts])}.{kind}" for parts in _layers(block, layers)]
    return [name]


def _layers(block: str, layers: list[str]) -> list[list[str]]:
    if not layers:
        return [[]]
    if ".attentions." in block:
        return [[part] for part in _ATTENTION[layers[0]]]
    return [[_RESIDUAL.get(layer, layer) for layer in layers]]


def _is_matrix(name: str) -> bool:
    return name.endswith(("attention.qkv.weight", "attention.project.weight"))


def _renewed(key: str) -> str:
    """Return the present name of a weight that first versions called otherwise."""
    block, _, kind = key.rpartition(".")
    parent, _, layer = block.rpartition(".")
    return f"{parent}.{_OLD[layer]}.{kind}" if layer in _OLD and ".attentions." in block else key
