"""Where downloads are kept, shared by all experiments of a user."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["cache_directory"]


def cache_directory() -> Path:
    """Return NOISETTE_CACHE, else `noisette` in XDG_CACHE_HOME, else ~/.cache/noisette; it may not exist yet."""
    if own := os.environ.get("NOISETTE_CACHE"):
        return Path(own).expanduser()
    shared = os.environ.get("XDG_CACHE_HOME", "")
    if Path(shared).is_absolute():  # the specification says to ignore relative ones
        return Path(shared) / "noisette"
    return Path.home() / ".cache" / "noisette"
