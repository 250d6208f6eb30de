"""What a data set may yield: pictures of one shape, and labels in range or none at all."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Protocol

import numpy as np

from noisette.contracts import Example, Shape
from noisette.data.fit import uniform
from noisette.data.mixed import MixedError
from noisette.errors import DataError, PluginError

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL.Image import Image

    from noisette.config import Preparation

__all__ = ["Checker", "Named"]


class Named(Protocol):
    """Whose pictures they are: a data set, or a folder."""

    @property
    def name(self) -> str:
        """What it is called in messages."""

    def classes(self) -> tuple[str, ...]:
        """Return the names of its labels; empty without labels."""


class Checker:
    """Makes examples uniform, and refuses those that do not belong together.

    Attributes:
        classes: the names of the data set's labels.
        shape: of every picture; known after the first.
        first: where that came from; "" before it.
    """

    def __init__(self, dataset: Named, preparation: Preparation) -> None:
        self.classes = dataset.classes()
        self.shape: Shape = (0, 0, 0)
        self._name = dataset.name
        self._preparation = preparation
        self.first = ""

    def begin(self, shape: Shape, first: str) -> None:
        """Go on with pictures of a shape, the first of which was `first`; "" begins anew."""
        self.shape, self.first = shape, first

    def picture(self, example: Example, image: Image) -> NDArray[np.uint8]:
        """Return the picture, uint8 (C, H, W).

        Raises:
            PluginError: if the data set does not keep its contract.
            MixedError: if the shape differs from the first picture's.
        """
        if image.mode not in ("L", "RGB"):
            raise PluginError(
                f"dataset {self._name!r}: expected pictures of mode L or RGB; got {image.mode} ({example.source})"
            )
        row = uniform(image, self._preparation)
        shape = (row.shape[0], row.shape[1], row.shape[2])
        if not self.first:
            self.shape, self.first = shape, example.source or "the first picture"
        if shape != self.shape:
            raise self._mismatch(shape, example)
        return row

    def label(self, example: Example) -> NDArray[np.int64] | None:
        """Return the label, int64 (), or None for a data set without labels.

        Raises:
            DataError: if there is none, or it names no class.
        """
        label, count = example.label, len(self.classes)
        if label is None and not count:
            return None
        if label is None or not 0 <= label < count:
            expected = f"a label from 0 to {count - 1}" if count else "no label, as the set has no classes"
            raise DataError(f"{self._name}: {example.source}: expected {expected}; got {label}")
        return np.array(label, dtype=np.int64)

    def _mismatch(self, shape: Shape, example: Example) -> MixedError:
        what: Literal["size", "channels"] = "channels" if shape[1:] == self.shape[1:] else "size"
        return MixedError(
            f"{self._name}: pictures differ in {what}: {_shown(self.shape)} ({self.first}) and "
            f"{_shown(shape)} ({example.source}); set preparation.{what}",
            what,
        )


def _shown(shape: Shape) -> str:
    channels, height, width = shape
    return f"{width}x{height} {'grey' if channels == 1 else 'RGB'}"
