"""Thirty betas that were tuned by hand."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from noisette import PluginError, Schedule


class Thirty(Schedule):
    """Thirty betas that were tuned by hand."""

    name: ClassVar[str] = "thirty"
    paper: ClassVar[str] = "none; as the learned schedules of Kingma et al. 2021"

    strength: float = Field(1.0, gt=0, le=1.5, description="factor of all of them")

    @property
    def length(self):
        """Return 30, the only number of steps that it can do."""
        return 30

    def betas(self, timesteps):
        """Return the thirty betas, (30,) float64.

        Raises:
            PluginError: for another number of steps.
        """
        import torch

        if timesteps != 30:
            raise PluginError(f"schedule {self.name}: expected 30 timesteps, its only length; got {timesteps}")
        t = torch.arange(30, dtype=torch.float64) / 29
        return self.strength * (0.004 + 0.5 * t**2.5)


PLUGIN = Thirty
NOTE = "Works with one number of steps alone, and length says which."
