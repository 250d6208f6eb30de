"""A classifier of real images, and the images that it classifies with confidence.

The confidence is the share of trees that vote for the likeliest class. Trees agree near the data that they were
fitted to and disagree elsewhere. In tests on digits, linear models and small neural networks were as confident
about noise, blank images and blends of two digits as about real images.
"""

from __future__ import annotations

from math import sqrt
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from noisette import DataError, Estimate
from noisette_plugins.metrics.feature_statistics import TensorCache, canonical_order, count

if TYPE_CHECKING:
    from torch import Tensor

    from noisette.plugin_api import State

__all__ = ["recognise"]

_LEAST_HELD_OUT = 10
_SHARE = 0.1
"""Share of the real held-out images that counts as not recognised."""


def recognise(
    generated: State, reference: State, heldout: State, trees: int, fit: int, seed: int
) -> dict[str, Estimate]:
    """Classify images with a classifier fitted on labelled real images; see `Recognised`."""
    _check(generated, reference, heldout)
    key = (trees, fit, seed)
    model = _CLASSIFIERS.get(reference["images"], key, lambda: _fit_classifier(reference, trees, fit, seed))
    heldout_confidence, predicted = _confidence(model, heldout["images"])
    correct = int((predicted == heldout["labels"].numpy()).sum())
    threshold = np.quantile(heldout_confidence, _SHARE)
    confidence, classes = _confidence(model, generated["images"])
    recognised = confidence >= threshold
    return {
        "recognised": _share(int(recognised.sum()), len(recognised)),
        "classes_seen": Estimate(float(len(np.unique(classes[recognised])))),
        "classifier_accuracy": _share(correct, len(predicted)),
    }


_CLASSIFIERS = TensorCache()


def _fit_classifier(reference: State, trees: int, fit: int, seed: int) -> Any:
    from sklearn.ensemble import ExtraTreesClassifier

    order = canonical_order(reference["images"])[:fit]
    model = ExtraTreesClassifier(trees, min_samples_leaf=2, random_state=seed)
    return model.fit(_flatten(reference["images"][order]), reference["labels"][order].numpy())


def _confidence(model: Any, images: Tensor) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return the probability of the likeliest class, and that class, (N,) each."""
    probabilities = model.predict_proba(_flatten(images))
    return probabilities.max(axis=1), model.classes_[probabilities.argmax(axis=1)]


def _flatten(images: Tensor) -> NDArray[np.float32]:
    return (images.flatten(1).float() / 255).numpy()


def _share(hits: int, total: int) -> Estimate:
    """Return a share with its binomial error, computed at (hits + 1) / (total + 2) so that it is never 0."""
    middle = (hits + 1) / (total + 2)
    return Estimate(hits / total, sqrt(middle * (1 - middle) / total))


def _check(generated: State, reference: State, heldout: State) -> None:
    for state, whose in ((reference, "reference"), (heldout, "held-out")):
        if state and "labels" not in state:
            raise DataError(f"expected labels of the {whose} images; they have none")
    if not count(generated, "images") or not count(reference, "images"):
        raise DataError("expected images to judge and reference images; got none")
    if bool((reference["labels"] == reference["labels"][0]).all()):
        raise DataError("expected at least 2 classes in the reference; it has 1")
    found = count(heldout, "images")
    if found < _LEAST_HELD_OUT:
        raise DataError(f"expected at least {_LEAST_HELD_OUT} held-out images to set the threshold by; got {found}")
    shapes = {tuple(state["images"].shape[1:]) for state in (generated, reference, heldout)}
    if len(shapes) > 1:
        raise DataError(f"expected images of one shape; got {', '.join(map(str, sorted(shapes)))}")
