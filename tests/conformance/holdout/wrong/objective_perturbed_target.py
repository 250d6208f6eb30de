"""Predict the noise, perturbed against exposure bias."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from noisette import Objective

if TYPE_CHECKING:
    from torch import Tensor

    from noisette import Prediction


class PerturbedTarget(Objective):
    """Predict the noise, perturbed against exposure bias."""

    name: ClassVar[str] = "eps-perturbed"
    paper: ClassVar[str] = "Ning et al. 2023"
    needs_signal: ClassVar[bool] = True

    strength: float = Field(0.1, ge=0, description="size of the perturbation")

    def target(self, x0: Tensor, eps: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
        """Return eps with some noise."""
        import torch

        return eps + self.strength * torch.randn_like(eps)

    def predict(self, output: Tensor, x_t: Tensor, alpha: float, sigma: float) -> Prediction:
        """Read the output as eps."""
        from noisette import Prediction

        return Prediction(x_t, alpha, sigma, eps=output)


KIND = "objective"
PLUGIN = PerturbedTarget
CAUSE = (
    "the target is perturbed by noise of torch's global generator, which is not reproducible and wrong: "
    "Ning et al. perturb the input"
)
WORDS = ("global", "random", "target", "determin", "twice")
