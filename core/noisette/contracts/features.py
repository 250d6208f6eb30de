"""The contract of feature networks."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self, TypeAlias

from noisette.contracts.plugin import Plugin
from noisette.errors import DataError

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from noisette.contracts.images import LabelledImages

__all__ = ["Classifier", "Extractor", "Features"]

Extractor: TypeAlias = "Callable[[Tensor], Tensor]"
Classifier: TypeAlias = "Callable[[Tensor], Tensor]"


class Features(Plugin):
    """A fixed network that turns images into vectors in which distances mean something.

    Class attributes:
        dimensions: length D of the vectors; a property where options decide it.
        has_classifier: whether the network ends in a classifier, which `load_classifier` gives.
    """

    kind: ClassVar[str] = "features"
    dimensions: ClassVar[int]
    has_classifier: ClassVar[bool] = False

    @property
    def label(self) -> str:
        """What results over these features are called by: the name, unless options make it another network."""
        return self.name

    @property
    def resizing(self) -> str:
        """How images are brought to the network's size, in words; part of every result's protocol."""
        return ""

    @property
    def input_size(self) -> int | None:
        """Height and width in pixels that the network sees; None if it takes images of any size as they are."""
        return None

    @property
    def facts(self) -> dict[str, Any]:
        """What else belongs into every result's protocol, as JSON values, such as a classifier's accuracy."""
        return {}

    def fit(self, train: LabelledImages, test: LabelledImages | None, folder: Path | None) -> Self:
        """Return these features made for a data set; themselves, unless they are learned from it.

        Args:
            train: real images, with labels if there are any; all results are compared with them.
            test: real images that are not among them, or None.
            folder: where what was learned is kept for the next time; None keeps nothing.

        Raises:
            DataError: if nothing can be learned from these images.
        """
        return self

    @abstractmethod
    def weights_sha256(self) -> str:
        """Return the sha256 of the weights, in hexadecimal: the identity of these features.

        Raises:
            DataError: if the weights are not there; the message says how to get them.
        """

    def fetch_weights(self) -> None:
        """Have the weights at hand, before anything long begins; features that are learned from the data have none.

        Raises:
            DataError: if they cannot be had; the message says how to get them.
        """
        if type(self).fit is Features.fit:
            self.weights_sha256()

    @abstractmethod
    def load(self, device: torch.device) -> Extractor:
        """Return a function from images, uint8 (N, C, H, W) of any size, to float32 (N, D) on `device`.

        It is deterministic, in evaluation mode, and treats each image of a batch on its own. Grey images
        are repeated to three channels, and the resizing is part of the features.
        """

    def load_classifier(self) -> Classifier:
        """Return a function from features, float32 (N, D) on the CPU, to logits, float32 (N, K).

        Raises:
            DataError: if the weights are not there, or these features classify nothing.
        """
        raise DataError(f"features {self.name}: expected a network that ends in a classifier; this one has none")
