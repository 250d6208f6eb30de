"""Any schedule, rescaled to end in pure noise."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from noisette import PluginError, Schedule
from noisette.plugin_api import ScheduleRef

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["ZeroTerminal"]


def _linear() -> Any:
    return "linear"


class ZeroTerminal(Schedule):
    """Another schedule, rescaled to zero signal at its last timestep; its first timestep is unchanged.

        alpha'_t = alpha_0 (alpha_t - alpha_{T-1}) / (alpha_0 - alpha_{T-1})

    Training then includes the pure noise that sampling starts from. Objectives that predict the noise cannot be
    used: without signal, the noise says nothing about the image.
    """

    name: ClassVar[str] = "zero-terminal"
    paper: ClassVar[str] = "Lin, Liu, Li & Yang 2024, algorithm 1"

    of: ScheduleRef = Field(default_factory=_linear, description="schedule to rescale")

    @property
    def has_zero_terminal_snr(self) -> bool:
        """True: the last beta is 1."""
        return True

    @property
    def length(self) -> int | None:
        """The number of timesteps that the rescaled schedule needs, if any."""
        return self.of.length

    def betas(self, timesteps: int) -> Tensor:
        """Return the betas of the rescaled schedule, (T,) float64; the last one is 1.

        Raises:
            PluginError: if T is 1: a single timestep cannot both stay unchanged and lose all signal.
        """
        import torch

        if timesteps < 2:
            raise PluginError(f"schedule zero-terminal: expected at least 2 timesteps; got {timesteps}")
        alphas = torch.cumprod(1 - self.of.betas(timesteps), dim=0).sqrt()
        first, last = alphas[0].clone(), alphas[-1].clone()
        squared = ((alphas - last) * first / (first - last)) ** 2
        return 1 - torch.cat([squared[:1], squared[1:] / squared[:-1]])
