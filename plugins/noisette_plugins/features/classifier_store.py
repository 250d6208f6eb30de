"""Trained classifiers on disk, by what they were trained on.

<folder>/classifier-<key>/weights.safetensors      a `committed` directory: whole or not there
"""

from __future__ import annotations

import hashlib
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from safetensors.torch import load, save

from noisette import DataError
from noisette.errors import StorageError
from noisette.storage import committed, digest, verify
from noisette_plugins.features.classifier_network import SmallClassifier, accuracy, trained
from noisette_plugins.features.extractor import filled

if TYPE_CHECKING:
    from noisette.contracts.pictures import LabelledPictures

__all__ = ["Fitted", "fitted"]

log = logging.getLogger(__name__)

_VERSION, _KIND, _FILE = 1, "classifier", "weights.safetensors"


@dataclass(frozen=True)
class Fitted:
    """A trained classifier.

    Attributes:
        content: its weights as safetensors.
        size: height and width of the pictures that it was trained on.
        facts: classes, trained_on, and where there were held-out pictures accuracy and held_out.
    """

    content: bytes
    size: tuple[int, int]
    facts: dict[str, Any]

    @property
    def sha256(self) -> str:
        """The hash of the weights."""
        return hashlib.sha256(self.content).hexdigest()

    def network(self) -> SmallClassifier:
        """Return the network, in evaluation mode."""
        return filled(lambda: SmallClassifier(self.facts["classes"]), load(self.content)).eval()


def fitted(
    options: dict[str, Any], train: LabelledPictures, test: LabelledPictures | None, folder: Path | None
) -> Fitted:
    """Return the classifier of these options and pictures, trained now unless it is kept in the folder.

    Raises:
        DataError: if the pictures have no labels, or are of one class.
    """
    if train.labels is None:
        raise DataError(
            f"features classifier: expected labels of {train.name}, to train on; there are none: take other "
            "features, or a data set with labels"
        )
    high, wide = map(int, train.pictures.shape[2:])
    place = _place(options, train, test, folder)
    kept = None if place is None else _kept(place, (high, wide))
    if kept is not None:
        return kept
    log.info("training a classifier on %d pictures of %s, to measure in its features", len(train), train.name)
    made = _trained(options, train, test, (high, wide))
    if place is not None:
        with committed(place, _KIND, {"options": options, "facts": made.facts}) as staging:
            (staging / _FILE).write_bytes(made.content)
    return made


def _trained(
    options: dict[str, Any], train: LabelledPictures, test: LabelledPictures | None, size: tuple[int, int]
) -> Fitted:
    labels = np.asarray(train.labels)
    classes = int(labels.max(initial=-1)) + 1
    if len(np.unique(labels)) < 2:
        raise DataError(f"features classifier: expected at least two classes in {train.name}; got {classes}")
    chosen = {name: options[name] for name in ("steps", "batch", "lr", "seed")}
    network = trained(train, labels, classes, **chosen)
    facts: dict[str, Any] = {"classes": classes, "trained_on": len(train)}
    if test is not None and test.labels is not None and len(test):
        facts |= {"accuracy": round(accuracy(network, test, np.asarray(test.labels)), 6), "held_out": len(test)}
    tensors = {name: tensor.contiguous() for name, tensor in network.state_dict().items()}
    return Fitted(save(tensors), size, facts)


def _place(
    options: dict[str, Any], train: LabelledPictures, test: LabelledPictures | None, folder: Path | None
) -> Path | None:
    judged = None if test is None else test.identity
    return None if folder is None else folder / f"{_KIND}-{digest(_VERSION, options, train.identity, judged)}"


def _kept(place: Path, size: tuple[int, int]) -> Fitted | None:
    if not place.exists():
        return None
    try:
        about = verify(place, _KIND).about
    except StorageError as error:
        log.warning("a kept classifier is trained again: %s", error)
        return None
    return Fitted((place / _FILE).read_bytes(), size, about["facts"])
