"""Memory that is freed is kept for the next tensor.

glibc hands blocks above a threshold back to the kernel when they are freed. A network frees and asks for the same
hundred blocks at every step, and the kernel then clears each page again at its first touch: 40,000 page faults a
step of a small U-Net, 6 % of its time. With other thresholds (mallopt(3)) the blocks stay in the process, which
holds the peak of its memory until it ends.
"""

from __future__ import annotations

import ctypes
import os
import sys

__all__ = ["keep_freed_memory"]

_TRIM_THRESHOLD, _TOP_PAD, _MMAP_THRESHOLD = -1, -2, -3  # malloc.h
_VARIABLES = ("MALLOC_TRIM_THRESHOLD_", "MALLOC_TOP_PAD_", "MALLOC_MMAP_THRESHOLD_")
_MIB = 1 << 20


def keep_freed_memory() -> bool:
    """Let the C library keep what is freed; return whether it does.

    Nothing is changed where the library is not glibc, or where the environment already says how it shall allocate
    (`GLIBC_TUNABLES` with malloc, `MALLOC_TRIM_THRESHOLD_` and its like).
    """
    if not sys.platform.startswith("linux") or _is_told():
        return False
    library = ctypes.CDLL(None)
    if not (hasattr(library, "gnu_get_libc_version") and hasattr(library, "mallopt")):
        return False
    settings = {_MMAP_THRESHOLD: 32 * _MIB, _TRIM_THRESHOLD: 2**31 - 1, _TOP_PAD: 64 * _MIB}
    return all(library.mallopt(parameter, value) == 1 for parameter, value in settings.items())


def _is_told() -> bool:
    return "glibc.malloc" in os.environ.get("GLIBC_TUNABLES", "") or any(name in os.environ for name in _VARIABLES)
