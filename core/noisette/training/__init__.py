"""Training: from prepared pictures to a checkpoint."""

from __future__ import annotations

from typing import TYPE_CHECKING

from noisette.lazy import exports

if TYPE_CHECKING:
    from noisette.training.engine import train
    from noisette.training.model import Model

__all__ = ["Model", "train"]

__getattr__, __dir__ = exports(__name__, {"Model": "noisette.training.model", "train": "noisette.training.engine"})
