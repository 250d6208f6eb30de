"""Keys: a short hash of everything that a result depends on."""

from __future__ import annotations

import json
from hashlib import blake2b
from typing import Any

__all__ = ["digest"]


def digest(*parts: Any) -> str:
    """Return ten hexadecimal digits that differ if any of the parts (JSON values) does.

    The order of a mapping's keys does not matter.
    """
    text = json.dumps(parts, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return blake2b(text.encode(), digest_size=5).hexdigest()
