"""From arrays to examples."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from PIL import Image

from noisette import Example

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["examples_of"]


def examples_of(
    pictures: NDArray[np.uint8], labels: NDArray[np.integer], indices: NDArray[np.int64] | range
) -> Iterator[Example]:
    """Yield pictures, uint8 (N, H, W) or (N, H, W, 3), with their labels, (N,), in the order of the indices."""
    for index in indices:
        yield Example(Image.fromarray(pictures[index]), int(labels[index]), f"picture {index}")
