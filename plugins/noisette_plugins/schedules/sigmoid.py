"""The sigmoid schedule."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Self

from pydantic import Field, PositiveFloat, model_validator

from noisette import Schedule

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Sigmoid"]


class Sigmoid(Schedule):
    """A signal that falls as a sigmoid, more gently at both ends than cosine; made for larger images.

    alpha_t² = (g(1) - g(t/T)) / (g(1) - g(0)),    g(u) = sigmoid((start + u (end - start)) / tau)
    """

    name: ClassVar[str] = "sigmoid"
    paper: ClassVar[str] = "Jabri, Fleet & Chen 2023, algorithm 4"

    start: float = Field(-3.0, description="argument of the sigmoid at the first timestep")
    end: float = Field(3.0, description="argument of the sigmoid at the last timestep")
    tau: PositiveFloat = Field(1.0, description="temperature; larger values are closer to linear")
    max_beta: float = Field(0.999, gt=0, lt=1, description="largest beta, to avoid a singularity at the end")

    @model_validator(mode="after")
    def _check_ends(self) -> Self:
        if self.start >= self.end:
            raise ValueError(f"start: expected less than end = {self.end}; got {self.start}")
        return self

    def betas(self, timesteps: int) -> Tensor:
        """Return beta_t = 1 - alpha_{t+1}² / alpha_t², (T,) float64."""
        import torch

        t = torch.linspace(0, 1, timesteps + 1, dtype=torch.float64)
        u = (t * (self.end - self.start) + self.start) / self.tau
        decrease = torch.sigmoid(u[-1]) - torch.sigmoid(u)
        signal = decrease / decrease[0]
        return (1 - signal[1:] / signal[:-1]).clamp(max=self.max_beta)
