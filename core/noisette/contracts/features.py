"""The contract of feature networks."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar

from noisette.contracts.plugin import Plugin

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    Extractor = Callable[[Tensor], Tensor]

__all__ = ["Features"]


class Features(Plugin):
    """A fixed network that turns pictures into vectors in which distances mean something.

    Class attributes:
        dimensions: length D of the vectors.
    """

    kind: ClassVar[str] = "features"
    dimensions: ClassVar[int]

    @property
    def label(self) -> str:
        """What results over these features are called by: the name, unless options make it another network."""
        return self.name

    @property
    def resizing(self) -> str:
        """How pictures are brought to the network's size, in words; part of every result's protocol."""
        return ""

    @abstractmethod
    def weights_sha256(self) -> str:
        """Return the sha256 of the weights, in hexadecimal: the identity of these features.

        Raises:
            DataError: if the weights are not there; the message says how to get them.
        """

    @abstractmethod
    def load(self, device: torch.device) -> Extractor:
        """Return a function from pictures, uint8 (N, C, H, W) of any size, to float32 (N, D) on `device`.

        It is deterministic, in evaluation mode, and treats each picture of a batch on its own. Grey pictures
        are repeated to three channels, and the resizing is part of the features.
        """
