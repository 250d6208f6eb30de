"""A small image classifier and its training: cross entropy, AdamW and a one-cycle learning rate."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from noisette.plugin_api import LabelledImages, derive_seed, seeded_generator

__all__ = ["SmallClassifier", "accuracy", "train_classifier"]

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
