"""Counts of images that are pixel-by-pixel identical, such as copied files and hard links.

Duplicates are kept and reported. They weigh more in training, and a held-out image that is also a training image
does not measure generalization.
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
    """Return for each part how many images repeat an earlier one of that part.

    The key `shared` counts the images that also occur in an earlier part.

    Args:
        parts: .npy files of images, uint8 (N, C, H, W), by name.
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
    """Log a warning about duplicate images.

    Args:
        name: name of the data set or folder.
        about: the description that an ingestion returned.
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
