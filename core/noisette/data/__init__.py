"""Data preparation: convert a data set into uniform images on disk."""

from __future__ import annotations

from typing import TYPE_CHECKING

from noisette.lazy import exports

if TYPE_CHECKING:
    from noisette.data.engine import prepare
    from noisette.data.prepared import Prepared

__all__ = ["Prepared", "prepare"]

__getattr__, __dir__ = exports(__name__, {"Prepared": "noisette.data.prepared", "prepare": "noisette.data.engine"})
