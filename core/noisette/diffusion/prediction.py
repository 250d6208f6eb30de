"""What a denoiser says about x_t, in every dialect.

One of (x0, eps, v) and x_t give the others, as x_t = alpha x0 + sigma eps and v = alpha eps - sigma x0
(Salimans & Ho 2022, appendix D). Each is computed when it is first asked for.
"""

from __future__ import annotations

from torch import Tensor

__all__ = ["Prediction"]


class Prediction:
    """The denoiser's view of x_t at one step, all tensors (N, C, H, W).

    Attributes:
        x_t: the noisy picture.
        alpha, sigma: the factors of picture and noise in it.
        fractions: where the network tells the variance of the reverse step: how far it lies, in the logarithm, from
            the posterior's (0) to beta (1). So it serves for any jump (Nichol & Dhariwal 2021, eq. 15).
    """

    __slots__ = ("_eps", "_x0", "alpha", "fractions", "sigma", "x_t")

    def __init__(
        self,
        x_t: Tensor,
        alpha: float,
        sigma: float,
        *,
        x0: Tensor | None = None,
        eps: Tensor | None = None,
        fractions: Tensor | None = None,
    ) -> None:
        if x0 is None and eps is None:
            raise ValueError("a prediction needs x0 or eps; got neither")
        self.x_t, self.alpha, self.sigma = x_t, alpha, sigma
        self.fractions = fractions
        self._x0, self._eps = x0, eps

    @classmethod
    def from_v(cls, x_t: Tensor, alpha: float, sigma: float, v: Tensor) -> Prediction:
        """Read a velocity: x0 = alpha x_t - sigma v, eps = sigma x_t + alpha v."""
        return cls(x_t, alpha, sigma, x0=alpha * x_t - sigma * v, eps=sigma * x_t + alpha * v)

    @property
    def x0(self) -> Tensor:
        """The clean picture that it sees."""
        if self._x0 is None:
            self._x0 = (self.x_t - self.sigma * self._eps) / self.alpha  # type: ignore[operator]
        return self._x0

    @property
    def eps(self) -> Tensor:
        """The noise that it sees."""
        if self._eps is None:
            self._eps = (self.x_t - self.alpha * self._x0) / self.sigma  # type: ignore[operator]
        return self._eps

    @property
    def v(self) -> Tensor:
        """The velocity alpha eps - sigma x0."""
        return self.alpha * self.eps - self.sigma * self.x0

    def with_x0(self, x0: Tensor) -> Prediction:
        """Return the prediction whose picture is `x0`; its noise is derived again, so that both agree."""
        return Prediction(self.x_t, self.alpha, self.sigma, x0=x0, fractions=self.fractions)
