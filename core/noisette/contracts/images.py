"""What features read of the images that they are learned from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["Images", "LabelledImages"]


class Images(Protocol):
    """Images that are read in parts, uint8 (N, C, H, W): an array, in memory or memory-mapped, or less."""

    @property
    def shape(self) -> tuple[int, ...]:
        """The number of images, channels, height and width."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type uint8."""

    def __getitem__(self, rows: slice, /) -> NDArray[np.uint8]:
        """Return some neighbouring images."""


class LabelledImages(Protocol):
    """Some images and, where there are any, their labels, such as a `noisette.evaluation.ImageSet`."""

    @property
    def name(self) -> str:
        """What they are, for messages."""

    @property
    def images(self) -> Images:
        """The images, with one or three channels."""

    @property
    def labels(self) -> NDArray[np.int64] | None:
        """Their labels, (N,), or None."""

    @property
    def identity(self) -> str:
        """The identity of images and labels: a hash of them."""

    def __len__(self) -> int:
        """Return how many they are."""
