"""Checks on the examples of a data set, and conversion of images to a common size and number of channels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Protocol

import numpy as np
from PIL import Image

from noisette.contracts import Example, Shape
from noisette.errors import DataError, MixedError, PluginError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from noisette.config import Preparation

__all__ = ["ExampleChecker", "Fit", "Labelled", "fit_to", "to_array", "to_uniform"]


class Labelled(Protocol):
    """Owner of images: a data set or a folder."""

    @property
    def name(self) -> str:
        """Name in messages."""

    def classes(self) -> tuple[str, ...]:
        """Return the class names; empty without labels."""


class ExampleChecker:
    """Makes examples uniform and checks that they have the same shape.

    Attributes:
        classes: class names of the data set.
        shape: shape of the images, (C, H, W), set by the first image.
        first: source of the first image; "" before it.
    """

    def __init__(self, dataset: Labelled, preparation: Preparation) -> None:
        self.classes = dataset.classes()
        self.shape: Shape = (0, 0, 0)
        self._name = dataset.name
        self._preparation = preparation
        self.first = ""

    def resume_from(self, shape: Shape, first: str) -> None:
        """Resume with the shape and the source of the first image; a `first` of "" means to start fresh."""
        self.shape, self.first = shape, first

    def check_image(self, example: Example, image: Image.Image) -> NDArray[np.uint8]:
        """Return the uniform image, uint8 (C, H, W).

        Raises:
            PluginError: if the mode of the image is neither L nor RGB, which violates the contract of data sets.
            MixedError: if the shape differs from the first image's.
        """
        if image.mode not in ("L", "RGB"):
            raise PluginError(
                f"dataset {self._name!r}: expected images of mode L or RGB; got {image.mode} ({example.source})"
            )
        row = to_uniform(image, self._preparation)
        shape = (row.shape[0], row.shape[1], row.shape[2])
        if not self.first:
            self.shape, self.first = shape, example.source or "the first image"
        if shape != self.shape:
            raise self._mismatch(shape, example)
        return row

    def check_label(self, example: Example) -> NDArray[np.int64] | None:
        """Return the label, int64 (), or None for a data set without labels.

        Raises:
            DataError: if the label is missing, unexpected or out of range.
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
            f"{self._name}: images differ in {what}: {_describe_shape(self.shape)} ({self.first}) and "
            f"{_describe_shape(shape)} ({example.source}); set preparation.{what}",
            what,
        )


def _describe_shape(shape: Shape) -> str:
    channels, height, width = shape
    return f"{width}x{height} {'grey' if channels == 1 else 'RGB'}"


Fit = Literal["crop", "resize", "pad"]

_REDUCING_GAP = 3.0
"""Images more than six times too large are first box-averaged by an integer factor: faster, with the same look."""


def to_uniform(image: Image.Image, preparation: Preparation) -> NDArray[np.uint8]:
    """Apply a preparation to an image of mode L or RGB; return uint8 (C, H, W)."""
    if preparation.channels is not None:
        image = image.convert("L" if preparation.channels == 1 else "RGB")
    if preparation.size is not None:
        image = fit_to(image, (preparation.size, preparation.size), preparation.fit)
    return to_array(image)


def fit_to(image: Image.Image, size: tuple[int, int], fit: Fit) -> Image.Image:
    """Fit an image to a width and height.

    Args:
        image: image of mode L or RGB.
        size: width and height in pixels.
        fit: "crop" crops to the aspect ratio, then resizes; "resize" ignores the aspect ratio; "pad" adds black
            borders, shrinking the image if it is too large but never enlarging it.
    """
    return {"crop": _crop, "resize": _resize, "pad": _pad}[fit](image, size)


def to_array(image: Image.Image) -> NDArray[np.uint8]:
    """Return an image of mode L or RGB as uint8 (C, H, W)."""
    values = np.asarray(image)
    return values[None] if values.ndim == 2 else np.ascontiguousarray(values.transpose(2, 0, 1))


def _crop(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    """Resize the largest central crop that has the target aspect ratio."""
    width = min(image.width, max(1, round(image.height * size[0] / size[1])))
    height = min(image.height, max(1, round(image.width * size[1] / size[0])))
    left, top = (image.width - width) // 2, (image.height - height) // 2
    return _resize(image.crop((left, top, left + width, top + height)), size)


def _pad(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    if image.width > size[0] or image.height > size[1]:
        wide = image.width * size[1] >= image.height * size[0]
        part, whole = (size[0], image.width) if wide else (size[1], image.height)
        width, height = (max(1, round(side * part / whole)) for side in image.size)
        image = _resize(image, (width, height))
    canvas = Image.new(image.mode, size)
    canvas.paste(image, ((size[0] - image.width) // 2, (size[1] - image.height) // 2))
    return canvas


def _resize(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    if image.size == size:
        return image
    return image.resize(size, Image.Resampling.BICUBIC, reducing_gap=_REDUCING_GAP)
