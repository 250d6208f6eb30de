"""The sigmoid schedule."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Self

from pydantic import Field, PositiveFloat, model_validator

from noisette import Schedule

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Sigmoid"]


class Sigmoid(Schedule):
    """A signal that falls as a sigmoid: gentler at both ends than cosine, made for larger images."""

    name: ClassVar[str] = "sigmoid"
    paper: ClassVar[str] = "Jabri, Fleet & Chen 2023, algorithm 4"

    start: float = Field(-3.0, description="where on the sigmoid the signal begins")
    end: float = Field(3.0, description="where it ends")
    tau: PositiveFloat = Field(1.0, description="temperature; larger is nearer to linear")
    max_beta: float = Field(0.999, gt=0, lt=1, description="betas are clipped here, against a singular end")

    @model_validator(mode="after")
    def _rises(self) -> Self:
        if self.start >= self.end:
            raise ValueError(f"start: expected less than end = {self.end}; got {self.start}")
        return self

    def betas(self, timesteps: int) -> Tensor:
        """Return beta_t = 1 - f(t+1) / f(t) with f falling from 1 to 0 as the sigmoid does, (T,) float64."""
        import torch

        t = torch.linspace(0, 1, timesteps + 1, dtype=torch.float64)
        place = (t * (self.end - self.start) + self.start) / self.tau
        # the last value minus each, as the difference of two sigmoids; the first is 1 after scaling
        falls = torch.sigmoid(place[-1]) - torch.sigmoid(place)
        signal = falls / falls[0]
        return (1 - signal[1:] / signal[:-1]).clamp(max=self.max_beta)
