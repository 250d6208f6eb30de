"""Sampling: from a checkpoint to pictures on disk."""

from __future__ import annotations

from typing import TYPE_CHECKING

from noisette.lazy import exports

if TYPE_CHECKING:
    from noisette.sampling.engine import sample
    from noisette.sampling.samples import Samples

__all__ = ["Samples", "sample"]

__getattr__, __dir__ = exports(
    __name__, {"Samples": "noisette.sampling.samples", "sample": "noisette.sampling.engine"}
)
