"""From arrays to examples."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image

from noisette import Example

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["examples_of", "table_inside"]


def examples_of(
    pictures: NDArray[np.uint8], labels: NDArray[np.integer], indices: NDArray[np.int64] | range
) -> Iterator[Example]:
    """Yield pictures, uint8 (N, H, W) or (N, H, W, 3), with their labels, (N,), in the order of the indices."""
    for index in indices:
        yield Example(Image.fromarray(pictures[index]), int(labels[index]), f"picture {index}")


def table_inside(package: str, file: str) -> NDArray[np.float64]:
    """Return the numbers (rows, columns) of a CSV file inside an installed package, whose import may take seconds.

    Raises:
        ModuleNotFoundError: if the package is not installed.
    """
    import numpy as np

    found = find_spec(package)
    if found is None or found.origin is None:
        raise ModuleNotFoundError(f"No module named {package!r}", name=package)
    return np.loadtxt(Path(found.origin).parent / file, delimiter=",")
