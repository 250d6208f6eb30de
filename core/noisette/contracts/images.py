"""Images as features see them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["Images", "LabelledImages"]


class Images(Protocol):
    """Images that are read in slices, uint8 (N, C, H, W), such as an array in memory or memory-mapped."""

    @property
    def shape(self) -> tuple[int, ...]:
        """The number of images, channels, height and width."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """uint8."""

    def __getitem__(self, rows: slice, /) -> NDArray[np.uint8]:
        """Return a slice of the images."""


class LabelledImages(Protocol):
    """Images with or without labels, such as a `noisette.evaluation.ImageSet`."""

    @property
    def name(self) -> str:
        """The name of the set in messages."""

    @property
    def images(self) -> Images:
        """The images, with one or three channels."""

    @property
    def labels(self) -> NDArray[np.int64] | None:
        """The labels, (N,), or None."""

    @property
    def identity(self) -> str:
        """A hash of the images and labels."""

    def __len__(self) -> int:
        """Return the number of images."""
