"""Sampling: from a checkpoint to pictures on disk, and walks that begin at pictures."""

from __future__ import annotations

from typing import TYPE_CHECKING

from noisette.lazy import exports

if TYPE_CHECKING:
    from noisette.sampling.editing import edit, interpolate, invert
    from noisette.sampling.engine import sample
    from noisette.sampling.inpainting import Inpainted, inpaint
    from noisette.sampling.samples import Samples
    from noisette.sampling.shards import draw_shard, join, parts_of

__all__ = [
    "Inpainted",
    "Samples",
    "draw_shard",
    "edit",
    "inpaint",
    "interpolate",
    "invert",
    "join",
    "parts_of",
    "sample",
]

__getattr__, __dir__ = exports(
    __name__,
    {
        "Inpainted": "noisette.sampling.inpainting",
        "Samples": "noisette.sampling.samples",
        "draw_shard": "noisette.sampling.shards",
        "edit": "noisette.sampling.editing",
        "inpaint": "noisette.sampling.inpainting",
        "interpolate": "noisette.sampling.editing",
        "invert": "noisette.sampling.editing",
        "join": "noisette.sampling.shards",
        "sample": "noisette.sampling.engine",
        "parts_of": "noisette.sampling.shards",
    },
)
