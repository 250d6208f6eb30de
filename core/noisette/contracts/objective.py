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
    weight: Literal["none", "min-snr", "p2"] = Field("none", description="weight of a picture's loss by its step")
    min_snr: float = Field(5.0, gt=0, description="min-snr: the signal-to-noise ratio that the weight stops at")
    p2_gamma: float = Field(1.0, ge=0, description="p2: how much steps of little noise are damped")
    p2_k: float = Field(1.0, gt=0, description="p2: keeps the weight finite")

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
        each = measure(output, self.target(x0, eps, alpha, sigma), reduction="none").flatten(1).mean(dim=1)
        return each if self.weight == "none" else each * self.weights(alpha, sigma)

    def weights(self, alpha: Tensor, sigma: Tensor) -> Tensor:
        """Return the weight of each picture's loss, (N,), for factors (N, 1, 1, 1).

        The papers weight the squared error of x0 (min-snr: Hang et al. 2023, min(snr, gamma)) or of eps (P2: Choi
        et al. 2022, 1 / (k + snr)^gamma). An error of the output is so many times one of x0 as `predict`, which is
        linear in it, says; the weight is translated by that, so that it means the same for every objective.
        """
        snr = (alpha / sigma) ** 2
        of_x0 = (
            snr.clamp(max=self.min_snr) if self.weight == "min-snr" else snr / (self.p2_k + snr) ** self.p2_gamma
        )
        return (of_x0 * self._x0_per_output(alpha, sigma) ** 2).flatten()

    def _x0_per_output(self, alpha: Tensor, sigma: Tensor) -> Tensor:
        zero = alpha.new_zeros(alpha.shape)
        return self.predict(zero + 1, zero, alpha, sigma).x0 - self.predict(zero, zero, alpha, sigma).x0  # type: ignore[arg-type]
