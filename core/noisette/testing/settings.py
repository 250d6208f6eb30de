"""Global settings that a plugin must not change."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageFile

__all__ = ["one_thread", "restore_global_settings"]


@contextmanager
def restore_global_settings(on_change: Callable[[str, Any, Any], None]) -> Iterator[None]:
    """Restore global settings that the block changed, and call `on_change` for each: name, before, after.

    `on_change` may raise: the change is then reported instead of its consequences, such as an error about dtypes.
    """
    before = {name: get() for name, (get, _) in _SETTINGS.items()}
    try:
        yield
    finally:
        after = {name: get() for name, (get, _) in _SETTINGS.items()}
        for name, (_, put) in _SETTINGS.items():
            if after[name] != before[name]:
                put(before[name])
        for name, value in before.items():
            if after[name] != value:
                on_change(name, value, after[name])


@contextmanager
def one_thread() -> Iterator[None]:
    """Run the block on one thread: more threads are slower for such small tensors."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _attribute_accessors(module: Any, name: str) -> tuple[Callable[[], Any], Callable[[Any], Any]]:
    return lambda: getattr(module, name), lambda value: setattr(module, name, value)


_SETTINGS: dict[str, tuple[Callable[[], Any], Callable[[Any], Any]]] = {
    "torch's default dtype": (torch.get_default_dtype, torch.set_default_dtype),
    "torch's default device": (lambda: str(torch.get_default_device()), torch.set_default_device),
    "torch's gradient mode": (torch.is_grad_enabled, torch.set_grad_enabled),
    "torch's deterministic mode": (torch.are_deterministic_algorithms_enabled, torch.use_deterministic_algorithms),
    "torch's number of threads": (torch.get_num_threads, torch.set_num_threads),
    "torch's matmul precision": (torch.get_float32_matmul_precision, torch.set_float32_matmul_precision),
    "cuDNN's search for fast algorithms": _attribute_accessors(torch.backends.cudnn, "benchmark"),
    "cuDNN's deterministic mode": _attribute_accessors(torch.backends.cudnn, "deterministic"),
    "cuDNN's TensorFloat-32": _attribute_accessors(torch.backends.cudnn, "allow_tf32"),
    "Pillow's handling of truncated files": _attribute_accessors(ImageFile, "LOAD_TRUNCATED_IMAGES"),
    "Pillow's limit of pixels": _attribute_accessors(Image, "MAX_IMAGE_PIXELS"),
    "NumPy's handling of errors": (np.geterr, lambda values: np.seterr(**values)),
    "the working folder": (os.getcwd, os.chdir),
}
