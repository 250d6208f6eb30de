"""Predict the noise under the squared error."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from noisette import Objective

if TYPE_CHECKING:
    from torch import Tensor

    from noisette import Prediction


class BatchMean(Objective):
    """Predict the noise under the squared error."""

    name: ClassVar[str] = "eps-batch-mean"
    needs_signal: ClassVar[bool] = True

    def target(self, x0: Tensor, eps: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
        """Return eps."""
        return eps

    def predict(self, output: Tensor, x_t: Tensor, alpha: float, sigma: float) -> Prediction:
        """Read the output as eps."""
        from noisette import Prediction

        return Prediction(x_t, alpha, sigma, eps=output)

    def losses(self, output: Tensor, x0: Tensor, eps: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
        """Return the losses."""
        from torch.nn import functional as F

        losses = F.mse_loss(output, self.target(x0, eps, alpha, sigma)).expand(len(output))
        return losses if self.weight == "none" else losses * self.weights(alpha, sigma)


KIND = "objective"
PLUGIN = BatchMean
CAUSE = "every image is given the mean loss of the batch, so loss by step and weights by image are wrong"
WORDS = ("each image", "image", "batch", "own")
