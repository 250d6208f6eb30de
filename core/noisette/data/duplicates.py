"""Images that are the same, pixel by pixel: copies of files, hard links, images that two names lead to.

They are taken as often as they come, and counted: copies weigh more in training, and a held-out image that was
trained on tells nothing about new ones.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["count_duplicates", "log_duplicates"]

log = logging.getLogger(__name__)


def count_duplicates(parts: Mapping[str, Path]) -> dict[str, int]:
    """Return how many images of each part equal an earlier one in it; `shared` are those of an earlier part.

    Args:
        parts: files of images, uint8 (N, C, H, W), by name.
    """
    import numpy as np

    counts, earlier = {}, np.empty(0, dtype=np.uint64)
    shared = 0
    for name, path in parts.items():
        hashes = _hash_images(np.load(path, mmap_mode="r", allow_pickle=False))
        distinct = np.unique(hashes)
        counts[name] = len(hashes) - len(distinct)
        shared += int(np.isin(hashes, earlier).sum())
        earlier = np.union1d(earlier, distinct)
    return {**counts, "shared": shared}


def log_duplicates(name: str, about: Mapping[str, Any]) -> None:
    """Warn of images that are the same as others.

    Args:
        name: whose images they are.
        about: what an intake returned.
    """
    counts = dict(about["duplicates"])
    shared = counts.pop("shared")
    if sum(counts.values()):
        parts = ", ".join(f"{count} in {part}" for part, count in counts.items() if count)
        log.warning("%s: some images are exact copies of others, and are all used: %s", name, parts)
    if shared:
        log.warning("%s: %d held-out images are exact copies of training images", name, shared)


def _hash_images(images: NDArray[np.uint8]) -> NDArray[np.uint64]:
    import numpy as np

    pieces = (int.from_bytes(blake2b(image.tobytes(), digest_size=8).digest()) for image in images)
    return np.fromiter(pieces, np.uint64, len(images))
