"""The images of a sampler on disk."""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from platform import node
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from noisette.storage import Artifact

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["Samples", "check_comparable_timings", "timing_conditions"]

_SESSION = uuid4().hex[:8]
"""Identifies this process: timings of one process are comparable."""


def timing_conditions(*, together: bool) -> dict[str, Any]:
    """Return the conditions of a timing, as JSON values.

    Args:
        together: whether this process generated all images without interruption.
    """
    import torch

    return {
        "session": _SESSION if together else None,
        "at": f"{datetime.now():%Y-%m-%d %H:%M}",
        "host": node(),
        "threads": torch.get_num_threads(),
        "load": round(os.getloadavg()[0], 1),
    }


def check_comparable_timings(samplers: Mapping[str, Mapping[str, Any]]) -> str:
    """Return why the timings of samplers are not comparable; "" if they are.

    They are if a single process measured them with the same number of threads.

    Args:
        samplers: `Samples.about` of each sampler, by label.
    """
    timed = {label: about.get("timed") or {} for label, about in samplers.items()}
    if len(timed) < 2:
        return ""
    sessions = {(conditions.get("session"), conditions.get("threads")) for conditions in timed.values()}
    if len(sessions) == 1 and None not in next(iter(sessions)):
        return ""
    timings = (
        f"{label} {conditions['at']}, load {conditions['load']}" if conditions else f"{label} unknown"
        for label, conditions in timed.items()
    )
    return (
        f"seconds per image were not measured together ({'; '.join(timings)}) and are not comparable; "
        "`noisette run CONFIG --again sample` measures all in one run"
    )


class Samples(Artifact):
    """The generated images of one sampler.

    Attributes:
        directory: holds `images.npy`, uint8 (N, C, H, W), `grid.png`, and `labels.npy` for images with labels.
        manifest: hashes; `about` has label, sampler, network_calls, seconds_per_image, timed, count, seed,
            clip, ema, checkpoint, step and versions.
    """

    kind = "samples"

    @property
    def label(self) -> str:
        """The label of the sampler."""
        return str(self.about["label"])

    @property
    def sampler(self) -> dict[str, Any]:
        """The options of the sampler."""
        return dict(self.about["sampler"])

    @property
    def checkpoint(self) -> str:
        """The digest of the checkpoint."""
        return str(self.about["checkpoint"])

    @property
    def cost(self) -> tuple[int, int, float]:
        """Steps, network calls, and seconds per image."""
        return self.about["steps"], self.about["network_calls"], float(self.about["seconds_per_image"])

    @property
    def digest(self) -> str:
        """sha256 of the images."""
        return self.manifest.files["images.npy"].sha256

    @property
    def identity(self) -> str:
        """Label and digest: two samplers may generate the same images."""
        return f"{self.label} {self.digest}"

    @property
    def grid(self) -> Path:
        """The image grid, a PNG file."""
        return self.directory / "grid.png"

    @property
    def images(self) -> NDArray[np.uint8]:
        """The images, memory-mapped, uint8 (N, C, H, W)."""
        return self.load_array("images.npy")

    @property
    def labels(self) -> NDArray[np.int64] | None:
        """The labels of the images, int64 (N,), or None."""
        return self.load_array("labels.npy", mmap_mode=None) if "labels.npy" in self.manifest.files else None
