"""Prepared images on disk: uniform, uint8, memory-mapped."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from noisette.contracts import Shape, Split
from noisette.storage import Manifest, is_complete, read_manifest, verify

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["Prepared"]


@dataclass(frozen=True)
class Prepared:
    """The images and labels of a data set, ready for training.

    Attributes:
        directory: holds `train.npy` and `test.npy`, uint8 (N, C, H, W); `train_labels.npy` and
            `test_labels.npy`, int64 (N,), where the set has labels; and `rejected.jsonl`, one file that is no
            image a line, with the reason.
        manifest: hashes; `about` has dataset, preparation, shape, classes, counts (found, accepted and
            rejected of each split), formats (of the files of each split), duplicates (see
            `noisette.data.duplicates`), class_counts, licence, source, plugins and versions.
    """

    directory: Path
    manifest: Manifest = field(repr=False)

    @classmethod
    def open(cls, directory: Path) -> Prepared:
        """Open prepared images after verifying every hash.

        Raises:
            StorageError: naming the file that is missing or differs.
        """
        return cls(directory, verify(directory, "prepared"))

    @classmethod
    def finished(cls, directory: Path) -> Prepared | None:
        """Return the images of this directory if they are complete; looks at sizes only."""
        if not is_complete(directory, "prepared"):
            return None
        return cls(directory, read_manifest(directory, "prepared"))

    @property
    def about(self) -> dict[str, Any]:
        """What they are: JSON values."""
        return self.manifest.about

    @property
    def digest(self) -> str:
        """The identity of the content: images, labels and rejections, wherever they lie."""
        return self.manifest.digest()

    @property
    def shape(self) -> Shape:
        """Channels, height and width of every image."""
        channels, height, width = self.about["shape"]
        return channels, height, width

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the labels in order; empty for a set without labels."""
        return tuple(self.about["classes"])

    def count(self, split: Split) -> int:
        """Return how many images a split has."""
        return int(self.about["counts"][split]["accepted"])

    def images(self, split: Split) -> NDArray[np.uint8]:
        """Return the images of a split, memory-mapped, uint8 (N, C, H, W)."""
        import numpy as np

        return np.load(self.directory / f"{split}.npy", mmap_mode="r", allow_pickle=False)  # type: ignore[no-any-return]

    def labels(self, split: Split) -> NDArray[np.int64] | None:
        """Return the labels of a split, int64 (N,), or None for a set without labels."""
        import numpy as np

        name = f"{split}_labels.npy"
        if name not in self.manifest.files:
            return None
        return np.load(self.directory / name, allow_pickle=False)  # type: ignore[no-any-return]
