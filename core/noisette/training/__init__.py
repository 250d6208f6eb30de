"""Training: from prepared images to a checkpoint."""

from __future__ import annotations

from typing import TYPE_CHECKING

from noisette.lazy import exports

if TYPE_CHECKING:
    from noisette.model.model import Model
    from noisette.training.engine import train

__all__ = ["Model", "train"]

__getattr__, __dir__ = exports(__name__, {"Model": "noisette.model.model", "train": "noisette.training.engine"})
