"""Device, precision and memory format of this machine."""

from __future__ import annotations

import ctypes
import os
import platform
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast

import torch
from torch import nn

from noisette.errors import NoisetteError

__all__ = ["Machine", "device_type", "keep_freed_memory", "processor_name", "use_threads"]

Precision = Literal["auto", "fp32", "bf16", "fp16"]


@dataclass(frozen=True)
class Machine:
    """How networks compute on this machine.

    Attributes:
        device: the first CUDA device or the CPU; see `device_type`.
        autocast: dtype of convolutions and matrix products, or None for float32.
        channels_last: whether images have the channels-last memory format.
    """

    device: torch.device
    autocast: torch.dtype | None
    channels_last: bool

    @classmethod
    def detect(cls, precision: Precision = "auto") -> Machine:
        """Choose for this machine; `auto` is bf16 where the hardware multiplies it, else float32; fp16 needs a GPU.

        For a single image bf16 takes 0.98 to 1.06 of float32's time (docs/benchmarks.md), so the choice does not
        depend on the batch size, and neither do the images. On a CPU the memory format is channels-last in float32
        too: a training step takes 0.9 of the time, a network call 0.8 to 0.9.

        Raises:
            NoisetteError: as `device_type`.
        """
        device = torch.device(device_type())
        if device.type == "cpu":
            keep_freed_memory()
        bf16 = precision == "bf16" or (precision == "auto" and _has_fast_bf16(device))
        fp16 = precision == "fp16" and device.type != "cpu"
        autocast = torch.bfloat16 if bf16 else torch.float16 if fp16 else None
        return cls(device, autocast, channels_last=autocast is not None or device.type == "cpu")

    @property
    def name(self) -> str:
        """The name of the device."""
        return torch.cuda.get_device_name() if self.device.type == "cuda" else processor_name()

    @property
    def precision(self) -> str:
        """ "bf16", "fp16" or "fp32"."""
        return {torch.bfloat16: "bf16", torch.float16: "fp16", None: "fp32"}[self.autocast]

    def place(self, network: nn.Module) -> nn.Module:
        """Move a network to the device and the memory format."""
        network = network.to(self.device)
        return network.to(memory_format=torch.channels_last) if self.channels_last else network


def device_type() -> Literal["cpu", "cuda"]:
    """Return the device type: that of the environment variable NOISETTE_DEVICE, else a GPU if there is one.

    Raises:
        NoisetteError: if NOISETTE_DEVICE is neither "cpu" nor "cuda", or PyTorch finds no GPU for "cuda".
    """
    requested, has_gpu = os.environ.get("NOISETTE_DEVICE", ""), torch.cuda.is_available()
    if requested not in ("", "cpu", "cuda"):
        raise NoisetteError(f"NOISETTE_DEVICE: expected cpu or cuda; got {requested!r}")
    if requested == "cuda" and not has_gpu:
        raise NoisetteError("NOISETTE_DEVICE=cuda: PyTorch finds no usable GPU; try cpu")
    return cast(Literal["cpu", "cuda"], requested) if requested else "cuda" if has_gpu else "cpu"


@contextmanager
def use_threads(count: int | None) -> Iterator[None]:
    """Set the number of CPU threads in the block; None keeps torch's choice.

    Threads synchronize after every operation. If another program uses a core, a tiny network can take fifty times
    as long on two threads as on one.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(count or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _has_fast_bf16(device: torch.device) -> bool:
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())


def processor_name() -> str:
    """Return the name of the processor."""
    info = Path("/proc/cpuinfo")
    names = re.findall(r"model name\s*: (.*)", info.read_text(encoding="utf-8")) if info.exists() else []
    return str(names[0]) if names else platform.processor() or platform.machine()


_TRIM_THRESHOLD, _TOP_PAD, _MMAP_THRESHOLD = -1, -2, -3  # malloc.h
_VARIABLES = ("MALLOC_TRIM_THRESHOLD_", "MALLOC_TOP_PAD_", "MALLOC_MMAP_THRESHOLD_")
_MIB = 1 << 20


def keep_freed_memory() -> bool:
    """Let the C library keep freed memory; return whether it does.

    Nothing changes if the library is not glibc, or the environment configures its allocator (`GLIBC_TUNABLES` with
    malloc, `MALLOC_TRIM_THRESHOLD_` and similar).
    """
    if not sys.platform.startswith("linux") or _is_configured():
        return False
    library = ctypes.CDLL(None)
    if not (hasattr(library, "gnu_get_libc_version") and hasattr(library, "mallopt")):
        return False
    settings = {_MMAP_THRESHOLD: 32 * _MIB, _TRIM_THRESHOLD: 2**31 - 1, _TOP_PAD: 64 * _MIB}
    return all(library.mallopt(parameter, value) == 1 for parameter, value in settings.items())


def _is_configured() -> bool:
    return "glibc.malloc" in os.environ.get("GLIBC_TUNABLES", "") or any(name in os.environ for name in _VARIABLES)
