"""An array of images that is written batch by batch and survives an interruption.

`images.npy` has its full length from the start. The first line of `.batches.jsonl` identifies the images; each
further line holds the rows and the hash of a finished batch. Batches whose hash does not match are written again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from noisette.storage import atomic_write, create_array

__all__ = ["ResumableArray"]

_IMAGES = "images.npy"
_BATCHES = ".batches.jsonl"


class ResumableArray:
    """Images that are written batch by batch.

    Args:
        folder: directory of the array; finished batches of an earlier process are kept.
        shape: shape of the array, (N, C, H, W).
        identity: JSON values that decide the images; batches of another identity are discarded.

    Attributes:
        images: uint8 (N, C, H, W), memory-mapped.
        batches: seconds taken by each finished batch, by the index of its first image.
    """

    images: np.memmap[Any, Any]
    batches: dict[int, float]

    def __init__(self, folder: Path, shape: Sequence[int], identity: Mapping[str, Any]) -> None:
        self._images, self._lines = folder / _IMAGES, folder / _BATCHES
        self._shape, self._identity = tuple(shape), json.dumps(identity, sort_keys=True)
        self.batches = {}
        finished = self._load_finished()
        if finished is None:
            self.reset()
        else:
            self.images, lines = finished
            self._rewrite(lines)

    def __contains__(self, batch: range) -> bool:
        return batch.start in self.batches

    def add(self, batch: range, images: NDArray[np.uint8], seconds: float) -> None:
        """Store the images of a batch, and the seconds that they took."""
        self.images[batch.start : batch.stop] = images
        line = {"start": batch.start, "stop": batch.stop, "sha256": _sha256(images), "seconds": seconds}
        with self._lines.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
        self.batches[batch.start] = seconds

    def matches(self, batch: range, images: NDArray[np.uint8]) -> bool:
        """Return whether the stored images of a batch are equal to these."""
        return np.array_equal(self.images[batch.start : batch.stop], images)

    def reset(self) -> None:
        """Discard all batches."""
        self._lines.unlink(missing_ok=True)
        self.images = create_array(self._images, self._shape, np.uint8)
        self._rewrite([])

    def _load_finished(self) -> tuple[np.memmap[Any, Any], list[dict[str, Any]]] | None:
        """Return the stored images and the lines of the intact batches; None if nothing can be resumed."""
        lines = _read_lines(self._lines)
        if not lines or lines[0] != self._header():
            return None
        try:
            images = np.load(self._images, mmap_mode="r+", allow_pickle=False)
        except (OSError, ValueError):
            return None
        if images.shape != self._shape or images.dtype != np.uint8:
            return None
        return images, [line for line in lines[1:] if _is_intact(line, images)]

    def _header(self) -> dict[str, Any]:
        size = self._images.stat().st_size if self._images.exists() else 0
        return {"identity": self._identity, "bytes": size}

    def _rewrite(self, lines: list[dict[str, Any]]) -> None:
        text = "".join(json.dumps(line) + "\n" for line in [self._header(), *lines])
        with atomic_write(self._lines) as temporary:
            temporary.write_text(text, encoding="utf-8")
        self.batches = {int(line["start"]): float(line["seconds"]) for line in lines}


def _read_lines(path: Path) -> list[dict[str, Any]]:
    """Return the lines of a file that are complete."""
    if not path.exists():
        return []
    lines = []
    for line in path.read_bytes().splitlines():
        try:
            content = json.loads(line)
        except ValueError:
            continue
        if isinstance(content, dict):
            lines.append(content)
    return lines


def _is_intact(line: Mapping[str, Any], images: np.memmap[Any, Any]) -> bool:
    try:
        return bool(_sha256(images[int(line["start"]) : int(line["stop"])]) == line["sha256"])
    except (KeyError, TypeError, ValueError):
        return False


def _sha256(images: NDArray[np.uint8]) -> str:
    return hashlib.sha256(np.ascontiguousarray(images).data).hexdigest()
