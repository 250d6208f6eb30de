"""The contract of objectives: what the network predicts and how a wrong prediction is punished."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from noisette.contracts.plugin import Plugin

if TYPE_CHECKING:
    from torch import Tensor

    from noisette.diffusion.prediction import Prediction

__all__ = ["Objective"]


class Objective(Plugin):
    """What a network learns: a target made of (x0, eps), and the way back from its output to a prediction.

    Everywhere x_t = alpha_t x0 + sigma_t eps, with alpha_t² + sigma_t² = 1; `alpha` and `sigma` broadcast
    against pictures: floats, or tensors of shape (N, 1, 1, 1).
    """

    kind: ClassVar[str] = "objective"

    outputs: ClassVar[int] = 1
    """Channels that the network gives for each channel of the picture."""

    needs_signal: ClassVar[bool] = False
    """True if x0 cannot be found from the output where alpha is 0 (zero terminal signal), as with eps."""

    loss: Literal["mse", "l1", "huber"] = Field("mse", description="distance between output and target")

    @abstractmethod
    def target(self, x0: Tensor, eps: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
        """Return what the network should have said, shape (N, C, H, W)."""

    @abstractmethod
    def predict(self, output: Tensor, x_t: Tensor, alpha: float, sigma: float) -> Prediction:
        """Read the network's output at x_t, both (N, C, H, W), as a prediction."""

    def losses(self, output: Tensor, x0: Tensor, eps: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
        """Return the loss of each picture, shape (N,), averaged over its values."""
        from torch.nn import functional as F

        measure = {"mse": F.mse_loss, "l1": F.l1_loss, "huber": F.smooth_l1_loss}[self.loss]
        each = measure(output, self.target(x0, eps, alpha, sigma), reduction="none")
        return each.flatten(1).mean(dim=1)
