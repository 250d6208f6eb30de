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
    """One image as it was found, and its label where it has one.

    Attributes:
        image: a Pillow image of mode L or RGB, upright; or, for a file that cannot be one, None.
        label: index into the data set's classes; None, for all of them, in a set without classes.
        source: where it came from (a file's name or an index), for messages.
        rejected: why there is no image.
    """

    image: Image | None
    label: int | None = None
    source: str = ""
    rejected: str = ""


class Dataset(Plugin):
    """Where images and labels come from.

    Files on disk come first, a checked download second; without either, `examples` raises a `DataError` that
    says what to do by hand.

    Class attributes:
        licence: the licence of the images.
        source: who made them, and where they are found.
    """

    kind: ClassVar[str] = "dataset"
    licence: ClassVar[str] = "unknown"
    source: ClassVar[str] = ""

    @abstractmethod
    def examples(self, split: Split, cache: Path) -> Iterator[Example]:
        """Yield the images of a split, in an order that is always the same.

        Args:
            split: "train" for training and for the reference; "test" for held-out images, not shared with
                train. A set without held-out images takes a fixed share of its own.
            cache: folder that downloads are kept in, shared by all data sets.

        Raises:
            DataError: if the images cannot be had; says what was looked for, where, and what to do.
        """

    def examples_from(self, split: Split, cache: Path, start: int) -> Iterator[Example]:
        """Yield what `examples` yields, without the first `start`: a preparation that was stopped goes on there.

        Override it where passing examples over is faster than reading them.
        """
        return islice(self.examples(split, cache), start, None)

    def length(self, split: Split) -> int | None:
        """Return how many examples a split has, if that is known without reading them; it is for progress bars."""
        return None

    def classes(self) -> tuple[str, ...]:
        """Return the names of the labels in order; empty for a set without labels."""
        return ()

    def fingerprint(self) -> str:
        """Return what, beyond the options, the prepared images depend on: a folder's listing, a version."""
        return ""
