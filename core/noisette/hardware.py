"""What the machine is called."""

from __future__ import annotations

import platform
import re
from pathlib import Path

__all__ = ["processor"]


def processor() -> str:
    """Return what the machine calls its processor."""
    info = Path("/proc/cpuinfo")
    names = re.findall(r"model name\s*: (.*)", info.read_text(encoding="utf-8")) if info.exists() else []
    return str(names[0]) if names else platform.processor() or platform.machine()
