"""Cache of trained classifiers on disk, by options and images.

<folder>/classifier-<key>/weights.safetensors      a `committed` directory: complete or absent
"""

from __future__ import annotations

import hashlib
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from safetensors.torch import load, save

from noisette import DataError, StorageError
from noisette.plugin_api import committed, digest, verify
from noisette_plugins.features.classifier_network import SmallClassifier, accuracy, train_classifier
from noisette_plugins.features.extractor import build_with_weights

if TYPE_CHECKING:
    from noisette.plugin_api import LabelledImages

__all__ = ["TrainedClassifier", "load_or_train"]

log = logging.getLogger(__name__)

_VERSION, _KIND, _FILE = 1, "classifier", "weights.safetensors"


@dataclass(frozen=True)
class TrainedClassifier:
    """A trained classifier.

    Attributes:
        content: the weights as safetensors.
        size: height and width of the training images.
        facts: `classes` and `trained_on`; with held-out images also `accuracy` and `held_out`.
    """

    content: bytes
    size: tuple[int, int]
    facts: dict[str, Any]

    @property
    def sha256(self) -> str:
        """SHA-256 of the weights."""
        return hashlib.sha256(self.content).hexdigest()

    def network(self) -> SmallClassifier:
        """Return the network, in evaluation mode."""
        return build_with_weights(lambda: SmallClassifier(self.facts["classes"]), load(self.content)).eval()


def load_or_train(
    options: dict[str, Any], train: LabelledImages, test: LabelledImages | None, folder: Path | None
) -> TrainedClassifier:
    """Return the classifier for these options and images from the folder, or train and store it.

    Raises:
        DataError: if the images have no labels or only one class.
    """
    if train.labels is None:
        raise DataError(
            f"features classifier: expected labels of {train.name}, to train on; there are none: take other "
            "features, or a data set with labels"
        )
    high, wide = map(int, train.images.shape[2:])
    place = _classifier_path(options, train, test, folder)
    stored = None if place is None else _load_classifier(place, (high, wide))
    if stored is not None:
        return stored
    log.info("training a classifier on %d images of %s, to measure in its features", len(train), train.name)
    result = _train(options, train, test, (high, wide))
    if place is not None:
        with committed(place, _KIND, {"options": options, "facts": result.facts}) as staging:
            (staging / _FILE).write_bytes(result.content)
    return result


def _train(
    options: dict[str, Any], train: LabelledImages, test: LabelledImages | None, size: tuple[int, int]
) -> TrainedClassifier:
    labels = np.asarray(train.labels)
    classes = int(labels.max(initial=-1)) + 1
    if len(np.unique(labels)) < 2:
        raise DataError(f"features classifier: expected at least two classes in {train.name}; got {classes}")
    chosen = {name: options[name] for name in ("steps", "batch", "lr", "seed")}
    network = train_classifier(train, labels, classes, **chosen)
    facts: dict[str, Any] = {"classes": classes, "trained_on": len(train)}
    if test is not None and test.labels is not None and len(test):
        facts |= {"accuracy": round(accuracy(network, test, np.asarray(test.labels)), 6), "held_out": len(test)}
    tensors = {name: tensor.contiguous() for name, tensor in network.state_dict().items()}
    return TrainedClassifier(save(tensors), size, facts)


def _classifier_path(
    options: dict[str, Any], train: LabelledImages, test: LabelledImages | None, folder: Path | None
) -> Path | None:
    judged = None if test is None else test.identity
    return None if folder is None else folder / f"{_KIND}-{digest(_VERSION, options, train.identity, judged)}"


def _load_classifier(place: Path, size: tuple[int, int]) -> TrainedClassifier | None:
    if not place.exists():
        return None
    try:
        about = verify(place, _KIND).about
    except StorageError as error:
        log.warning("a kept classifier is trained again: %s", error)
        return None
    return TrainedClassifier((place / _FILE).read_bytes(), size, about["facts"])
