"""Sampling: from a checkpoint to images on disk; editing, interpolation, inversion and inpainting."""

from __future__ import annotations

from typing import TYPE_CHECKING

from noisette.lazy import exports

if TYPE_CHECKING:
    from noisette.sampling.editing import edit, interpolate, invert
    from noisette.sampling.engine import sample
    from noisette.sampling.inpainting import Inpainted, inpaint
    from noisette.sampling.samples import Samples
    from noisette.sampling.shards import join_shards, sample_shard, split_into_parts

__all__ = [
    "Inpainted",
    "Samples",
    "edit",
    "inpaint",
    "interpolate",
    "invert",
    "join_shards",
    "sample",
    "sample_shard",
    "split_into_parts",
]

__getattr__, __dir__ = exports(
    __name__,
    {
        "Inpainted": "noisette.sampling.inpainting",
        "Samples": "noisette.sampling.samples",
        "sample_shard": "noisette.sampling.shards",
        "edit": "noisette.sampling.editing",
        "inpaint": "noisette.sampling.inpainting",
        "interpolate": "noisette.sampling.editing",
        "invert": "noisette.sampling.editing",
        "join_shards": "noisette.sampling.shards",
        "sample": "noisette.sampling.engine",
        "split_into_parts": "noisette.sampling.shards",
    },
)
