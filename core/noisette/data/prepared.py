"""Prepared images on disk: uniform, uint8 and memory-mapped."""

from __future__ import annotations

from typing import TYPE_CHECKING

from noisette.contracts import Shape, Split
from noisette.storage import Artifact

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["Prepared"]


class Prepared(Artifact):
    """The images and labels of a data set, ready for training.

    Attributes:
        directory: contains `train.npy` and `test.npy`, uint8 (N, C, H, W); `train_labels.npy` and
            `test_labels.npy`, int64 (N,), if the data set has labels; and `rejected.jsonl`, with one rejected file
            and its reason per line. There are no test files if nothing is held out.
        manifest: hashes; `about` has dataset, preparation, shape, classes, counts (found, accepted and
            rejected, by split), formats (of the files, by split), duplicates (see
            `noisette.data.duplicates`), class_counts, licence, source, plugins and versions.
    """

    kind = "prepared"

    @property
    def shape(self) -> Shape:
        """Channels, height and width of the images."""
        channels, height, width = self.about["shape"]
        return channels, height, width

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names in label order; empty for a data set without labels."""
        return tuple(self.about["classes"])

    def count(self, split: Split) -> int:
        """Return the number of images of a split."""
        return int(self.about["counts"].get(split, {"accepted": 0})["accepted"])

    @property
    def has_test_split(self) -> bool:
        """Whether images are held out."""
        return "test.npy" in self.manifest.files

    def images(self, split: Split) -> NDArray[np.uint8]:
        """Return the images of a split, memory-mapped, uint8 (N, C, H, W); N is 0 if nothing is held out."""
        if split == "test" and not self.has_test_split:
            return self.images("train")[:0]
        return self.load_array(f"{split}.npy")

    def labels(self, split: Split) -> NDArray[np.int64] | None:
        """Return the labels of a split, int64 (N,), or None for a data set without labels."""
        name = f"{split}_labels.npy"
        return self.load_array(name, mmap_mode=None) if name in self.manifest.files else None
