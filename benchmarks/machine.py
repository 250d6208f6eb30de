"""The machine of a measurement."""

from __future__ import annotations

import os
import platform
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from noisette.machine import processor_name

__all__ = ["about", "held_mib", "load", "peak_mib", "slug"]

_PACKAGES = (
    *("noisette", "torch", "diffusers", "denoising-diffusion-pytorch", "accelerate", "prefect", "mlflow"),
    *("torchmetrics", "torch-fidelity", "pytorch-fid", "clean-fid", "prdc"),
)


def about(threads: int) -> dict[str, Any]:
    """Return machine, versions, threads and date."""
    return {
        "processor": processor_name(),
        "cores": os.cpu_count(),
        "bf16": "AVX-512 bf16" if torch.cpu._is_avx512_bf16_supported() else "none",
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "threads": threads,
        "system": platform.platform(),
        "python": platform.python_version(),
        "versions": {name: _version(name) for name in _PACKAGES},
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
    }


def load() -> float | None:
    """Return how many processes wanted to run in the last minute, on average; None where nobody counts."""
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else None


def peak_mib() -> float:
    """Return the most memory that this process ever held; Linux only (getrusage would count its parent's)."""
    return _status("VmHWM")


def held_mib() -> float:
    """Return the memory of this process and reset its peak; Linux only."""
    Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")
    return _status("VmRSS")


def _status(name: str) -> float:
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name)) / 1024


def slug(machine: dict[str, Any]) -> str:
    """Return a name of the machine for files."""
    name = machine["gpu"] or f"{machine['processor']} {machine['cores']} cores"
    return "-".join("".join(c if c.isalnum() else " " for c in name.lower()).split())


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
