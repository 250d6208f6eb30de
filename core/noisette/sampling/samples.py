"""Images that a sampler drew, on disk."""

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
"""This process: what it times in turn is timed on one machine within one run."""


def timing_conditions(*, together: bool) -> dict[str, Any]:
    """Return when and where images are timed now, as JSON values.

    Args:
        together: whether this process made all of them in one go.
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
    """Return why the seconds of some samplers do not compare; nothing if they were measured together.

    They compare if one process timed them one after another, with as many threads; the load of the machine then (of
    one minute) is told with the rest.

    Args:
        samplers: what samples say of themselves, by label.
    """
    timed = {label: about.get("timed") or {} for label, about in samplers.items()}
    if len(timed) < 2:
        return ""
    sessions = {(one.get("session"), one.get("threads")) for one in timed.values()}
    if len(sessions) == 1 and None not in next(iter(sessions)):
        return ""
    timings = (
        f"{label} {one['at']}, load {one['load']}" if one else f"{label} unknown" for label, one in timed.items()
    )
    return (
        f"seconds per image were not measured together ({'; '.join(timings)}) and do not compare; "
        "`noisette run CONFIG --again sample` measures all in one run"
    )


class Samples(Artifact):
    """Images of one sampler.

    Attributes:
        directory: holds `images.npy`, uint8 (N, C, H, W), `grid.png`, and `labels.npy` if classes were asked for.
        manifest: hashes; `about` has label, sampler, network_calls, seconds_per_image, timed, count, seed,
            clip, ema, checkpoint, step and versions.
    """

    kind = "samples"

    @property
    def label(self) -> str:
        """The sampler's short name."""
        return str(self.about["label"])

    @property
    def digest(self) -> str:
        """The identity of the images: their sha256."""
        return self.manifest.files["images.npy"].sha256

    @property
    def identity(self) -> str:
        """Whose images these are, and which: two samplers may draw the same ones."""
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
        """The classes they were drawn for, int64 (N,), or None."""
        return self.load_array("labels.npy", mmap_mode=None) if "labels.npy" in self.manifest.files else None
