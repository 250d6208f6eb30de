"""What is drawn already of a set of pictures, so that drawing goes on where it was killed.

Beside `pictures.npy`, which has its full length from the start, `.batches.jsonl` says in its first line what is
drawn, and then in a line a batch where it lies and its hash. What does not hold is drawn again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from noisette.storage import new_array

__all__ = ["Partial"]

_PICTURES = "pictures.npy"
_BATCHES = ".batches.jsonl"


class Partial:
    """Pictures that are drawn batch by batch.

    Args:
        folder: where they lie; it may hold what an earlier process drew.
        shape: of all pictures, (N, C, H, W).
        identity: JSON values that decide them; what another identity drew is not used.

    Attributes:
        pictures: uint8 (N, C, H, W), memory-mapped.
        batches: the finished ones by the number of their first picture, with the seconds they took.
    """

    pictures: np.memmap[Any, Any]
    batches: dict[int, float]

    def __init__(self, folder: Path, shape: Sequence[int], identity: Mapping[str, Any]) -> None:
        self._pictures, self._lines = folder / _PICTURES, folder / _BATCHES
        self._shape, self._identity = tuple(shape), json.dumps(identity, sort_keys=True)
        self.batches = {}
        kept = self._kept()
        if kept is None:
            self.forget()
        else:
            self.pictures, lines = kept
            self._rewrite(lines)

    def __contains__(self, batch: range) -> bool:
        return batch.start in self.batches

    def add(self, batch: range, drawn: NDArray[np.uint8], seconds: float) -> None:
        """Keep the pictures of a batch, and how long they took."""
        self.pictures[batch.start : batch.stop] = drawn
        line = {"start": batch.start, "stop": batch.stop, "sha256": _sha256(drawn), "seconds": seconds}
        with self._lines.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
        self.batches[batch.start] = seconds

    def holds(self, batch: range, drawn: NDArray[np.uint8]) -> bool:
        """Return whether the pictures that are kept of a batch are these."""
        return np.array_equal(self.pictures[batch.start : batch.stop], drawn)

    def forget(self) -> None:
        """Begin at the first picture."""
        self._lines.unlink(missing_ok=True)
        self.pictures = new_array(self._pictures, self._shape, np.uint8)
        self._rewrite([])

    def _kept(self) -> tuple[np.memmap[Any, Any], list[dict[str, Any]]] | None:
        """Return the pictures and the lines of the batches that hold; None if there is nothing to go on with."""
        lines = _read(self._lines)
        if not lines or lines[0] != self._first():
            return None
        try:
            pictures = np.load(self._pictures, mmap_mode="r+", allow_pickle=False)
        except (OSError, ValueError):
            return None
        if pictures.shape != self._shape or pictures.dtype != np.uint8:
            return None
        return pictures, [line for line in lines[1:] if _holds(line, pictures)]

    def _first(self) -> dict[str, Any]:
        size = self._pictures.stat().st_size if self._pictures.exists() else 0
        return {"identity": self._identity, "bytes": size}

    def _rewrite(self, lines: list[dict[str, Any]]) -> None:
        written = self._lines.with_name(f"{_BATCHES}.new")
        text = "".join(json.dumps(line) + "\n" for line in [self._first(), *lines])
        written.write_text(text, encoding="utf-8")
        written.replace(self._lines)
        self.batches = {int(line["start"]): float(line["seconds"]) for line in lines}


def _read(path: Path) -> list[dict[str, Any]]:
    """Return the lines of a file that are whole."""
    if not path.exists():
        return []
    found = []
    for line in path.read_bytes().splitlines():
        try:
            content = json.loads(line)
        except ValueError:
            continue
        if isinstance(content, dict):
            found.append(content)
    return found


def _holds(line: Mapping[str, Any], pictures: np.memmap[Any, Any]) -> bool:
    try:
        return bool(_sha256(pictures[int(line["start"]) : int(line["stop"])]) == line["sha256"])
    except (KeyError, TypeError, ValueError):
        return False


def _sha256(pictures: NDArray[np.uint8]) -> str:
    return hashlib.sha256(np.ascontiguousarray(pictures).data).hexdigest()
