"""The contract of data sets."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal, NamedTuple

from noisette.contracts.plugin import Plugin

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["Dataset", "Example", "Split"]

Split = Literal["train", "test"]


class Example(NamedTuple):
    """An image of a data set with its label.

    Attributes:
        image: an upright Pillow image of mode L or RGB; None for a file that cannot be used.
        label: index into the data set's classes; None in a data set without classes.
        source: file name or index of the image, for messages.
        rejected: the reason if `image` is None.
    """

    image: Image | None
    label: int | None = None
    source: str = ""
    rejected: str = ""


class Dataset(Plugin):
    """A source of images and labels.

    Files on disk are preferred to a download, whose hash is verified. Without either, `examples` raises a
    `DataError` that says how to get the files.

    Class attributes:
        licence: the licence of the images.
        source: the authors and the address of the images.
    """

    kind: ClassVar[str] = "dataset"
    licence: ClassVar[str] = "unknown"
    source: ClassVar[str] = ""

    @abstractmethod
    def examples(self, split: Split, cache: Path) -> Iterator[Example]:
        """Yield the images of a split, always in the same order.

        Args:
            split: "train" for training and the reference; "test" for held-out images, none of which is in train. A
                data set without held-out images reserves a fixed part.
            cache: directory of downloads, shared by all data sets.

        Raises:
            DataError: if the images cannot be loaded; says what was looked for, where, and what to do.
        """

    def examples_from(self, split: Split, cache: Path, start: int) -> Iterator[Example]:
        """Yield `examples` without the first `start`, to resume a preparation.

        Override it if examples can be skipped faster than they are read.
        """
        return islice(self.examples(split, cache), start, None)

    def has_test_split(self) -> bool:
        """Return whether images are held out; if not, evaluations compare with the training images only."""
        return True

    def length(self, split: Split) -> int | None:
        """Return the number of examples of a split, for progress bars; None if it is unknown beforehand."""
        return None

    def classes(self) -> tuple[str, ...]:
        """Return the class names in the order of the labels; empty for a data set without labels."""
        return ()

    def fingerprint(self) -> str:
        """Return what prepared images depend on besides options, such as a directory listing or a version."""
        return ""
