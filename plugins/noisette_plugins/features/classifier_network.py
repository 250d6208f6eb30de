"""A small image classifier: its network, its training, and a cache of trained ones by options and images.

It is trained with cross entropy, AdamW and a one-cycle learning rate.

<folder>/classifier-<key>/weights.safetensors      a `committed` directory: complete or absent"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load, save
from torch import Tensor, nn
from torch.nn import functional as F

from noisette import DataError, StorageError
from noisette.plugin_api import LabelledImages, committed, derive_seed, digest, seeded_generator, verify
from noisette_plugins.features.extractor import build_with_weights

if TYPE_CHECKING:
    from noisette.plugin_api import LabelledImages

__all__ = ["TrainedClassifier", "accuracy", "load_or_train"]

_PASS = 256


class SmallClassifier(nn.Module):
    """Four convolutions, the second and third with stride 2, from (N, 3, H, W) in [-1, 1] to (N, 128)."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        widths = [(3, 32, 1), (32, 64, 2), (64, 128, 2), (128, 128, 1)]
        self.layers = nn.Sequential(*(_layer(*width) for width in widths))
        self.last = nn.Linear(128, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Return the features: the last channels averaged over the image, (N, 128)."""
        features: Tensor = self.layers(x).mean(dim=(2, 3))
        return features


def _layer(inputs: int, outputs: int, stride: int) -> nn.Sequential:
    convolution = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(outputs), nn.ReLU())


def train_classifier(
    train: LabelledImages, labels: NDArray[np.int64], classes: int, steps: int, batch: int, lr: float, seed: int
) -> SmallClassifier:
    """Train a classifier on the CPU and return it in evaluation mode. The global random state is not changed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed(seed, "classifier"))
        network = SmallClassifier(classes)
    optimizer = torch.optim.AdamW(network.parameters(), lr=lr, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, lr, total_steps=steps + 1, pct_start=0.2)
    order = _batch_order(len(train), batch, seed)
    network.train()
    for _ in range(steps):
        rows = order()
        loss = F.cross_entropy(network.last(network(_to_inputs(train, rows))), torch.from_numpy(labels[rows]))
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()
    return network.eval().requires_grad_(False)


def accuracy(network: SmallClassifier, test: LabelledImages, labels: NDArray[np.int64]) -> float:
    """Return the fraction of images that are classified correctly."""
    right = 0
    with torch.no_grad():
        for start in range(0, len(test), _PASS):
            rows = np.arange(start, min(start + _PASS, len(test)))
            found = network.last(network(_to_inputs(test, rows))).argmax(dim=1)
            right += int((found == torch.from_numpy(labels[rows])).sum())
    return right / len(test)


def _batch_order(count: int, batch: int, seed: int) -> Callable[[], NDArray[np.int64]]:
    """Return a function that returns the indices of the next batch. Images are shuffled again in every epoch."""
    generator, left = seeded_generator(seed, "classifier", "order"), torch.empty(0, dtype=torch.int64)

    def following() -> NDArray[np.int64]:
        nonlocal left
        while len(left) < batch:
            left = torch.cat([left, torch.randperm(count, generator=generator)])
        chosen, left = left[:batch], left[batch:]
        found: NDArray[np.int64] = chosen.numpy()
        return found

    return following


def _to_inputs(some: LabelledImages, rows: NDArray[np.int64]) -> Tensor:
    images = torch.from_numpy(np.concatenate([some.images[row : row + 1] for row in rows.tolist()]))
    return (images.float() / 127.5 - 1).expand(-1, 3, -1, -1)


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
