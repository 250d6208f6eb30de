"""Synthetic sets of images for metrics, generated from fixed seeds.

Images have one of three patterns, with noise. Features are a fixed linear map of the images, and logits are their
correlation with each pattern. For metrics of models there are a better and a worse model of such images.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from noisette.contracts import Batch, Objective
from noisette.diffusion import Prediction
from noisette.machine import Machine
from noisette.model.model import Model
from noisette.testing.trajectories import linear_process

__all__ = ["MetricSets", "iter_fresh_sets", "make_model_sets", "make_sets", "select_rows"]


@dataclass(frozen=True)
class MetricSets:
    """The sets that a metric compares.

    Attributes:
        reference, heldout, near: from one distribution.
        far: brighter, and with more noise.
    """

    reference: Batch
    heldout: Batch
    near: Batch
    far: Batch


@cache
def make_sets(count: int) -> MetricSets:
    """Return the four sets of `count` images."""
    return MetricSets(
        _batch(count, 1), _batch(count, 2), _batch(count, 3), _batch(count, 4, grain=60.0, brighter=40.0)
    )


def iter_fresh_sets(count: int, sets: int) -> Iterator[MetricSets]:
    """Yield new sets of `count` images; `near` and `far` are one set, half as far away as that of `make_sets`."""
    for number in range(sets):
        reference, heldout = _batch(count, 10 + 3 * number), _batch(count, 11 + 3 * number)
        near = _batch(count, 12 + 3 * number, grain=40.0, brighter=15.0)
        yield MetricSets(reference, heldout, near, near)


def _batch(count: int, seed: int, grain: float = 25.0, brighter: float = 0.0) -> Batch:
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(count) % 3
    rows, columns = torch.meshgrid(torch.arange(8), torch.arange(8), indexing="ij")
    patterns = torch.stack([(rows // 2 % 2), (columns // 2 % 2), ((rows + columns) // 3 % 2)]).float()
    clean = 50 + 120 * patterns[labels][:, None].expand(count, 3, 8, 8) + brighter
    noisy = clean + grain * torch.randn(count, 3, 8, 8, generator=generator)
    images = noisy.clamp(0, 255).round().to(torch.uint8)
    fixed = torch.Generator().manual_seed(0)
    features = (images.flatten(1).float() / 64) @ (torch.randn(192, 6, generator=fixed) / 192**0.5)
    return Batch(images, features, labels, logits=6 * _pattern_correlation(images.float(), patterns[:, None]))


def _pattern_correlation(images: Tensor, patterns: Tensor) -> Tensor:
    """Return the correlation of each image with each pattern, (N, 3)."""
    rows, kinds = images.flatten(1), patterns.expand(-1, 3, -1, -1).flatten(1)
    rows, kinds = (some - some.mean(dim=1, keepdim=True) for some in (rows, kinds))
    return torch.nn.functional.normalize(rows) @ torch.nn.functional.normalize(kinds).T


def select_rows(batch: Batch, rows: slice | Tensor) -> Batch:
    """Return some images of a batch, with their labels, features and logits."""
    tensors: dict[str, Any] = {
        name: value[rows] for name, value in vars(batch).items() if isinstance(value, Tensor)
    }
    return replace(batch, **tensors)


@cache
def make_model_sets(count: int) -> MetricSets:
    """Return the same images four times: with a model that predicts their mean, and with a wrong model as `far`."""
    batch = _batch(count, 1)
    knowing, wrong = (replace(batch, model=_constant_model(x0), indices=torch.arange(count)) for x0 in (-0.1, 0.9))
    return MetricSets(knowing, knowing, knowing, wrong)


def _constant_model(x0: float) -> Model:
    """Return a model that predicts a grey image with some of the noise."""
    machine = Machine(torch.device("cpu"), autocast=None, channels_last=False)
    return Model(_ConstantNetwork(x0), _X0Objective(), linear_process(100), (3, 8, 8), (), machine)


class _ConstantNetwork(nn.Module):
    def __init__(self, x0: float) -> None:
        super().__init__()
        self.x0 = x0

    def forward(self, x: Tensor, t: Tensor, label: Tensor | None) -> Tensor:
        return self.x0 + 0.4 * x


class _X0Objective(Objective):
    """An objective whose network predicts x0."""

    name: ClassVar[str] = "says-x0"

    def target(self, x0: Tensor, eps: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
        """Return x0."""
        return x0

    def predict(self, output: Tensor, x_t: Tensor, alpha: float, sigma: float) -> Prediction:
        """Read the output as x0."""
        return Prediction(x_t, alpha, sigma, x0=output)
