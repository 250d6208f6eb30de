"""A classifier of the data set's labels as a feature network, trained as part of the evaluation."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

from pydantic import Field, NonNegativeInt, PositiveInt, PrivateAttr

from noisette import DataError, Features

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from noisette.plugin_api import Classifier as Logits
    from noisette.plugin_api import Extractor, LabelledImages
    from noisette_plugins.features.classifier_network import TrainedClassifier

__all__ = ["Classifier"]


class Classifier(Features):
    """A small convolutional classifier of the data set's classes, trained on its real training images.

    For images unlike those of ImageNet, such as digits, the literature measures distances and scores in the last
    layer of a classifier of the data set itself. This one is trained when it is first needed, stored with its hash
    beside the features, and loaded by later evaluations. Its input has the size of the training images; other
    images are scaled by anti-aliased bicubic interpolation. The features are the 128 channels before the last
    layer, averaged over the image. The names of results contain its hash: other training images or options give
    another network, and results over different networks are not comparable.

    The same images, options and machine give the same weights.
    """

    name: ClassVar[str] = "classifier"
    paper: ClassVar[str] = "distances in a classifier of the data set: Binkowski et al. 2018 (LeNet for MNIST)"
    dimensions: ClassVar[int] = 128
    has_classifier: ClassVar[bool] = True

    steps: PositiveInt = Field(1000, description="training steps")
    batch: PositiveInt = Field(64, description="images of a step")
    lr: float = Field(2e-3, gt=0, description="largest learning rate; it rises from 0 and falls to 0")
    seed: NonNegativeInt = Field(0, description="seed of its weights and of the order of images")

    _classifier: TrainedClassifier | None = PrivateAttr(None)

    def __eq__(self, other: object) -> bool:
        # the trained weights are not an option
        return isinstance(other, Classifier) and self.options() == other.options()

    def __hash__(self) -> int:
        return hash(tuple(self.options().values()))

    def fit(self, train: LabelledImages, test: LabelledImages | None, folder: Path | None) -> Self:
        """Return the classifier trained on the labelled images of `train`, or loaded from `folder`.

        Raises:
            DataError: if there are no labels or fewer than two classes.
        """
        from noisette_plugins.features.classifier_network import load_or_train

        trained = self.model_copy()
        trained._classifier = load_or_train(self.options(), train, test, folder)
        return trained

    @property
    def label(self) -> str:
        """``classifier-<hash>``, with the first 8 digits of the hash of the weights."""
        return f"{self.name}-{self.weights_sha256()[:8]}"

    @property
    def input_size(self) -> int | None:
        """The height of the training images; None before training."""
        return None if self._classifier is None else self._classifier.size[0]

    @property
    def resizing(self) -> str:
        """Anti-aliased bicubic to the size of the training images."""
        high, wide = self._require_trained().size
        return f"anti-aliased bicubic to {wide}x{high}"

    @property
    def facts(self) -> dict[str, Any]:
        """Number of training images and of classes, and the accuracy on held-out images."""
        return self._require_trained().facts

    def weights_sha256(self) -> str:
        """Return the SHA-256 of the trained weights."""
        return self._require_trained().sha256

    def load(self, device: torch.device) -> Extractor:
        """Return the extractor, uint8 (N, C, H, W) to float32 (N, 128)."""
        from noisette_plugins.features.extractor import extractor

        return extractor(self._require_trained().network(), self._prepare, self.dimensions, device)

    def load_classifier(self) -> Logits:
        """Return a function from features to the logits of the data set's classes."""
        last = self._require_trained().network().last.requires_grad_(False)
        return lambda features: last(features)

    def _prepare(self, images: Tensor) -> Tensor:
        from noisette_plugins.features.extractor import clean

        return clean(images, self._require_trained().size) / 127.5 - 1

    def _require_trained(self) -> TrainedClassifier:
        if self._classifier is None:
            raise DataError(
                f"features {self.name}: expected a classifier that was trained on the real images; this one was "
                "not: evaluate does it where they have labels; from Python, call fit(train, test, folder)"
            )
        return self._classifier
