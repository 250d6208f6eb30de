"""The public tools as functions from two arrays of features to a value."""

from __future__ import annotations

import importlib.util
import io
from collections.abc import Callable
from contextlib import redirect_stdout
from typing import Any

import numpy as np
from torch import Tensor, nn

__all__ = [
    "CLEAN_FID",
    "FIDELITY",
    "PRDC",
    "PYTORCH_FID",
    "TORCHMETRICS",
    "frechet",
    "frechet_of_many",
    "inception",
    "kid",
    "manifolds",
]

PYTORCH_FID, CLEAN_FID, FIDELITY, TORCHMETRICS, PRDC = (
    "pytorch-fid",
    "clean-fid",
    "torch-fidelity",
    "torchmetrics",
    "prdc",
)
_MODULES = {PYTORCH_FID: "pytorch_fid", CLEAN_FID: "cleanfid", FIDELITY: "torch_fidelity"}
_BATCH = 128

Tool = Callable[[Tensor, Tensor], Any]


def _installed(tools: dict[str, Any]) -> dict[str, Any]:
    return {name: tool for name, tool in tools.items() if importlib.util.find_spec(_MODULES.get(name, name))}


def frechet() -> dict[str, Tool]:
    """Return each tool's Fréchet distance of two sets of features (N, D)."""
    return _installed(
        {PYTORCH_FID: _pytorch_fid, CLEAN_FID: _clean_fid, FIDELITY: _fidelity, TORCHMETRICS: _torchmetrics}
    )


def frechet_of_many() -> dict[str, Callable[[list[Tensor], Tensor], list[float]]]:
    """Return Fréchet distances of several sets to one reference, whose statistics the tool makes once."""

    def fidelity(sets: list[Tensor], y: Tensor) -> list[float]:
        from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric

        real = fid_features_to_statistics(y)
        every = [fid_statistics_to_metric(fid_features_to_statistics(x), real, verbose=False) for x in sets]
        return [float(found["frechet_inception_distance"]) for found in every]

    def metrics(sets: list[Tensor], y: Tensor) -> list[float]:
        from torchmetrics.image.fid import FrechetInceptionDistance

        metric = FrechetInceptionDistance(feature=_Identity(y), reset_real_features=False)
        _update(metric, y, real=True)
        found = []
        for x in sets:
            _update(metric, x, real=False)
            found.append(float(metric.compute()))
            metric.reset()
        return found

    return _installed({FIDELITY: fidelity, TORCHMETRICS: metrics})


def kid(subsets: int, size: int) -> dict[str, Tool]:
    """Return each tool's kernel distance: the mean, and what it gives as its deviation (None of clean-fid)."""

    def clean(x: Tensor, y: Tensor) -> Any:
        from cleanfid.fid import kernel_distance

        return kernel_distance(x.numpy(), y.numpy(), num_subsets=subsets, max_subset_size=size), None

    def fidelity(x: Tensor, y: Tensor) -> Any:
        from torch_fidelity.metric_kid import kid_features_to_metric

        found = kid_features_to_metric(
            x, y, kid_subsets=subsets, kid_subset_size=size, kid_kernel="poly", kid_kernel_poly_degree=3,
            kid_kernel_poly_gamma=None, kid_kernel_poly_coef0=1, rng_seed=0, verbose=False,
        )  # fmt: skip
        return tuple(found.values())

    def metrics(x: Tensor, y: Tensor) -> Any:
        from torchmetrics.image.kid import KernelInceptionDistance

        metric = KernelInceptionDistance(feature=_Identity(x), subsets=subsets, subset_size=size)
        mean, deviation = _update_and_compute(metric, x, y).compute()
        return float(mean), float(deviation)

    return _installed({CLEAN_FID: clean, FIDELITY: fidelity, TORCHMETRICS: metrics})


def inception(splits: int) -> dict[str, Tool]:
    """Return each tool's inception score of logits (N, K), its first argument, with its deviation."""

    def fidelity(x: Tensor, _: Tensor) -> Any:
        from torch_fidelity.metric_isc import isc_features_to_metric

        return tuple(isc_features_to_metric(x, splits=splits).values())

    def metrics(x: Tensor, _: Tensor) -> Any:
        from torchmetrics.image.inception import InceptionScore

        metric = InceptionScore(feature=_Identity(x), splits=splits)
        for part in x.split(_BATCH):
            metric.update(part)
        mean, deviation = metric.compute()
        return float(mean), float(deviation)

    return _installed({FIDELITY: fidelity, TORCHMETRICS: metrics})


def manifolds(k: int) -> dict[str, Tool]:
    """Return each tool's precision, recall, density and coverage by name, as far as it has them."""

    def naeem(x: Tensor, y: Tensor) -> Any:
        from prdc import compute_prdc

        with redirect_stdout(io.StringIO()):
            return compute_prdc(y.numpy(), x.numpy(), nearest_k=k)

    def fidelity(x: Tensor, y: Tensor) -> Any:
        from torch_fidelity.metric_prc import calculate_precision_recall_full

        return dict(zip(("precision", "recall"), calculate_precision_recall_full(x, y, k), strict=True))

    return _installed({PRDC: naeem, FIDELITY: fidelity})


def _pytorch_fid(x: Tensor, y: Tensor) -> float:
    from pytorch_fid.fid_score import calculate_frechet_distance

    with redirect_stdout(io.StringIO()):
        return float(calculate_frechet_distance(*_numpy_moments(x), *_numpy_moments(y)))


def _clean_fid(x: Tensor, y: Tensor) -> float:
    from cleanfid.fid import fid_from_feats

    with redirect_stdout(io.StringIO()):
        return float(fid_from_feats(x.numpy(), y.numpy()))


def _fidelity(x: Tensor, y: Tensor) -> float:
    from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric

    found = fid_statistics_to_metric(fid_features_to_statistics(x), fid_features_to_statistics(y), verbose=False)
    return float(found["frechet_inception_distance"])


def _torchmetrics(x: Tensor, y: Tensor) -> float:
    from torchmetrics.image.fid import FrechetInceptionDistance

    return float(_update_and_compute(FrechetInceptionDistance(feature=_Identity(x)), x, y).compute())


class _Identity(nn.Module):
    """Stands for a feature network whose features are there already."""

    def __init__(self, like: Tensor) -> None:
        super().__init__()
        self.num_features = like.shape[1]

    def forward(self, x: Tensor) -> Tensor:
        return x


def _update_and_compute(metric: Any, x: Tensor, y: Tensor) -> Any:
    _update(metric, x, real=False)
    _update(metric, y, real=True)
    return metric


def _update(metric: Any, rows: Tensor, *, real: bool) -> None:
    for part in rows.split(_BATCH):
        metric.update(part, real=real)


def _numpy_moments(rows: Tensor) -> tuple[np.ndarray, np.ndarray]:
    return rows.numpy().mean(axis=0), np.cov(rows.numpy(), rowvar=False)
