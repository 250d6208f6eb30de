"""Arrays on disk that are filled bit by bit."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import DTypeLike

__all__ = ["new_array"]


def new_array(path: Path, shape: Sequence[int], dtype: DTypeLike) -> np.memmap[Any, Any]:
    """Make an array file (.npy) of zeros, memory-mapped for writing, with its space on disk reserved.

    Without the reservation the file is sparse, and a disk that fills up kills the process with SIGBUS.

    Raises:
        OSError: if the disk has not the space.
    """
    import numpy as np

    array = np.lib.format.open_memmap(path, mode="w+", dtype=dtype, shape=tuple(shape))
    if hasattr(os, "posix_fallocate"):
        handle = os.open(path, os.O_RDWR)
        try:
            os.posix_fallocate(handle, 0, path.stat().st_size)
        finally:
            os.close(handle)
    return array
