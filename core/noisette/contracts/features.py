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
    """A fixed network that maps images to feature vectors.

    Class attributes:
        dimensions: length D of the vectors; a property if options decide it.
        has_classifier: whether the network ends in a classifier, which `load_classifier` returns.
    """

    kind: ClassVar[str] = "features"
    dimensions: ClassVar[int]
    has_classifier: ClassVar[bool] = False

    @property
    def label(self) -> str:
        """The name of these features in results: the plugin's name, unless options select another network."""
        return self.name

    @property
    def resizing(self) -> str:
        """A description of how images are resized for the network; part of every result's protocol."""
        return ""

    @property
    def input_size(self) -> int | None:
        """Height and width of the network's input in pixels; None if it takes images of any size."""
        return None

    @property
    def facts(self) -> dict[str, Any]:
        """Further entries of every result's protocol, as JSON values, such as a classifier's accuracy."""
        return {}

    def fit(self, train: LabelledImages, test: LabelledImages | None, folder: Path | None) -> Self:
        """Return these features trained on a data set; themselves, unless they learn from data.

        Args:
            train: the real images of the reference, with labels if there are any.
            test: real images that are not in `train`, or None.
            folder: directory that stores the trained features; None stores nothing.

        Raises:
            DataError: if the features cannot be trained on these images.
        """
        return self

    @abstractmethod
    def weights_sha256(self) -> str:
        """Return the sha256 of the weights, in hexadecimal: the identity of these features.

        Raises:
            DataError: if the weights are missing; the message says how to get them.
        """

    def fetch_weights(self) -> None:
        """Make sure that the weights are available before a long computation; a no-op for features that learn.

        Raises:
            DataError: if they are not; the message says how to get them.
        """
        if type(self).fit is Features.fit:
            self.weights_sha256()

    @abstractmethod
    def load(self, device: torch.device) -> Extractor:
        """Return a function from images, uint8 (N, C, H, W) of any size, to float32 (N, D) on `device`.

        The function is deterministic, and the features of an image do not depend on its batch. It repeats greyscale
        images to three channels and resizes images itself.
        """

    def load_classifier(self) -> Classifier:
        """Return a function from features, float32 (N, D) on the CPU, to logits, float32 (N, K).

        Raises:
            DataError: if the weights are missing, or these features have no classifier.
        """
        raise DataError(f"features {self.name}: expected a network that ends in a classifier; this one has none")
