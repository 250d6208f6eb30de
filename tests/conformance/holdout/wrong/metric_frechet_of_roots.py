"""Fréchet distance of two Gaussians."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from noisette import Batch, DataError, Estimate, Metric

if TYPE_CHECKING:
    from torch import Tensor

    from noisette.contracts.metric import State


class FrechetOfRoots(Metric):
    """Fréchet distance of two Gaussians."""

    name: ClassVar[str] = "frechet-roots"
    paper: ClassVar[str] = "Heusel et al. 2017, eq. 6"

    def update(self, state: State, batch: Batch) -> State:
        """Return the features."""
        return self.merge(state, {"features": batch.features.float().cpu()})

    def merge(self, a: State, b: State) -> State:
        """Return the features of both."""
        import torch

        return {"features": torch.cat([a["features"], b["features"]])} if a and b else dict(a or b)

    def compute(self, generated: State, reference: State, heldout: State) -> dict[str, Estimate]:
        """Return `frechet_roots`."""
        if any(not state or len(state["features"]) < 2 for state in (generated, reference)):
            raise DataError("expected at least 2 images in both sets")
        x, y = generated["features"].double(), reference["features"].double()
        cov_x, cov_y = x.T.cov().reshape(x.shape[1], -1), y.T.cov().reshape(y.shape[1], -1)
        cross = (_root(cov_x) * _root(cov_y)).sum()
        means = (x.mean(dim=0) - y.mean(dim=0)).square().sum()
        return {"frechet_roots": Estimate(max(float(means + cov_x.trace() + cov_y.trace() - 2 * cross), 0.0))}


def _root(covariance: Tensor) -> Tensor:
    import torch

    values, vectors = torch.linalg.eigh(covariance)
    return (vectors * values.clamp(min=0).sqrt()) @ vectors.T


KIND = "metric"
PLUGIN = FrechetOfRoots
CAUSE = (
    "the cross term is the trace of the product of both roots, not of the root of the product: right only"
    " where the covariances commute"
)
WORDS = ("covariance", "value", "root", "correlat", "known")
