"""The contract of objectives: what a network predicts, and its loss."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from noisette.contracts.plugin import Plugin

if TYPE_CHECKING:
    from torch import Tensor

    from noisette.diffusion.prediction import Prediction
    from noisette.diffusion.process import Process

__all__ = ["Objective"]


class Objective(Plugin):
    """A target made of (x0, eps), its loss, and the prediction that an output stands for.

    Everywhere x_t = alpha_t x0 + sigma_t eps, with alpha_t² + sigma_t² = 1; `alpha` and `sigma` broadcast
    against images: floats, or tensors of shape (N, 1, 1, 1).

    An objective with the variational bound also learns the variance of the reverse steps. Its network has twice as
    many output channels, which `parse_output` and `training_losses` split; `target`, `predict` and `losses` get the
    first half only.
    """

    kind: ClassVar[str] = "objective"

    needs_signal: ClassVar[bool] = False
    """Whether x0 cannot be computed from the output if alpha is 0 (zero terminal SNR), as with eps."""

    loss: Literal["mse", "l1", "huber"] = Field("mse", description="distance between output and target")
    weight: Literal["none", "min-snr", "p2"] = Field("none", description="weight of the loss by timestep")
    min_snr: float = Field(5.0, gt=0, description="min-snr: largest SNR in the weight, the paper's gamma")
    p2_gamma: float = Field(1.0, ge=0, description="p2: how much timesteps with little noise are weighted down")
    p2_k: float = Field(1.0, gt=0, description="p2: keeps the weight finite")
    bound: Literal["none", "hybrid", "full"] = Field(
        "none",
        description="variational bound, which also learns the variance: hybrid adds it to the loss, for the "
        "variance only; full replaces the loss",
    )
    bound_weight: float = Field(0.001, gt=0, description="hybrid: weight of the bound, in bits per dimension")
    variance: Literal["interpolated", "direct"] = Field(
        "interpolated",
        description="output for the variance: a fraction between the posterior's and beta, or the log variance",
    )

    @property
    def outputs(self) -> int:
        """Output channels for each channel of the image: 2 with a learned variance, 1 without."""
        return 1 if self.bound == "none" else 2

    @abstractmethod
    def target(self, x0: Tensor, eps: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
        """Return the target of the network, (N, C, H, W)."""

    @abstractmethod
    def predict(self, output: Tensor, x_t: Tensor, alpha: float, sigma: float) -> Prediction:
        """Read the network's output at x_t, both (N, C, H, W), as a prediction."""

    def parse_output(self, output: Tensor, x_t: Tensor, t: int | Tensor, process: Process) -> Prediction:
        """Return the prediction of an output (N, outputs * C, H, W) at timestep t, one for all or (N,)."""
        from noisette.diffusion.prediction import parse_variance

        factors: tuple[Any, Any] = process(t) if isinstance(t, int) else process.alpha_sigma(t, x_t)
        if self.outputs == 1:
            return self.predict(output, x_t, *factors)
        mean_output, variance_output = output.chunk(2, dim=1)
        prediction = self.predict(mean_output, x_t, *factors)
        prediction.variance_fraction = parse_variance(variance_output, t, process, direct=self.variance == "direct")
        return prediction

    def training_losses(self, output: Tensor, x0: Tensor, eps: Tensor, t: Tensor, process: Process) -> Tensor:
        """Return the training loss of each image, (N,): the losses, the bound, or both.

        The bound of an image is T times its term at t, in bits per dimension; its mean over t is the bound. The
        hybrid trains only the variance on it, with the mean detached (Nichol & Dhariwal 2021, section 3.1).

        Args:
            output: the network's output, (N, outputs * C, H, W).
            x0: images in [-1, 1], (N, C, H, W).
            eps: their noise, like x0.
            t: their timesteps, (N,) int64.
            process: the forward process.
        """
        alpha, sigma = process.alpha_sigma(t, x0)
        if self.bound == "none":
            return self.losses(output, x0, eps, alpha, sigma)
        from torch import cat

        from noisette.diffusion.bound import get_bound

        mean_output, variance_output = output.chunk(2, dim=1)
        fixed_mean = mean_output.detach() if self.bound == "hybrid" else mean_output
        prediction = self.parse_output(
            cat([fixed_mean, variance_output], dim=1), alpha * x0 + sigma * eps, t, process
        )
        bound = len(process) * get_bound(process).terms(x0, t, prediction.x0, prediction.variance_fraction)
        if self.bound == "full":
            return bound
        return self.losses(mean_output, x0, eps, alpha, sigma) + self.bound_weight * bound

    def losses(self, output: Tensor, x0: Tensor, eps: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
        """Return the loss of each image, shape (N,), averaged over its values."""
        from torch.nn import functional as F

        measure = {"mse": F.mse_loss, "l1": F.l1_loss, "huber": F.smooth_l1_loss}[self.loss]
        each = measure(output, self.target(x0, eps, alpha, sigma), reduction="none").flatten(1).mean(dim=1)
        return each if self.weight == "none" else each * self.weights(alpha, sigma)

    def weights(self, alpha: Tensor, sigma: Tensor) -> Tensor:
        """Return the weight of each image's loss, (N,), for factors (N, 1, 1, 1).

        The papers weight the squared error of x0 (min-snr: Hang et al. 2023, min(snr, gamma)) or of eps (P2: Choi
        et al. 2022, 1 / (k + snr)^gamma). `predict` is linear in the output, so the weight is converted by the
        error of x0 for each unit of error of the output, and means the same for every objective.
        """
        snr = (alpha / sigma) ** 2
        x0_weight = (
            snr.clamp(max=self.min_snr) if self.weight == "min-snr" else snr / (self.p2_k + snr) ** self.p2_gamma
        )
        return (x0_weight * self._x0_per_output(alpha, sigma) ** 2).flatten()

    def _x0_per_output(self, alpha: Tensor, sigma: Tensor) -> Tensor:
        zero = alpha.new_zeros(alpha.shape)
        return self.predict(zero + 1, zero, alpha, sigma).x0 - self.predict(zero, zero, alpha, sigma).x0  # type: ignore[arg-type]
