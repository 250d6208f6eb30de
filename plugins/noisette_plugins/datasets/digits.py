"""The digits data set included in scikit-learn."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from noisette import Dataset

if TYPE_CHECKING:
    from noisette import Example, Split

__all__ = ["Digits"]

_HELD_OUT = 500
_LARGEST = 16
"""Maximum value: grey levels count the black pixels in a 4x4 block of the scan."""


class Digits(Dataset):
    """1,797 scans of handwritten digits, grey, 8x8: 1,297 to train on, 500 held out; no download."""

    name: ClassVar[str] = "digits"
    paper: ClassVar[str] = "Alpaydin & Kaynak 1998"
    licence: ClassVar[str] = "CC BY 4.0"
    source: ClassVar[str] = (
        "Optical Recognition of Handwritten Digits, UCI Machine Learning Repository, test part; from scikit-learn"
    )

    def examples(self, split: Split, cache: Path) -> Iterator[Example]:
        """Yield the scans, with values from 0 to 16 scaled to round(255 v / 16)."""
        import numpy as np

        from noisette_plugins.datasets._common import iter_examples, read_package_csv, stratified_split

        table = read_package_csv("sklearn", "datasets/data/digits.csv.gz")
        labels = table[:, -1].astype(np.int64)
        images = np.rint(table[:, :-1].reshape(-1, 8, 8) * 255 / _LARGEST).astype(np.uint8)
        train, test = stratified_split(labels, _HELD_OUT)
        yield from iter_examples(images, labels, train if split == "train" else test)

    def classes(self) -> tuple[str, ...]:
        """Return the digits."""
        return tuple("0123456789")
