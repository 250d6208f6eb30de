"""The contract of noise schedules."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, ClassVar

from noisette.contracts.plugin import Plugin
from noisette.errors import PluginError

if TYPE_CHECKING:
    from torch import Tensor

    from noisette.diffusion.process import Process

__all__ = ["Schedule"]


class Schedule(Plugin):
    """The variances (betas) of the forward process.

    Everything derived from the betas is computed by `noisette.diffusion.Process`, in float64.

    Class attributes:
        is_monotonic: whether the betas never decrease at default options, as in nearly all schedules.
    """

    kind: ClassVar[str] = "schedule"
    is_monotonic: ClassVar[bool] = True

    @property
    def has_zero_terminal_snr(self) -> bool:
        """Whether the last beta is 1: x_{T-1} is then pure noise, and some objectives cannot be used."""
        return False

    @property
    def length(self) -> int | None:
        """The only number of timesteps that it supports; None for any."""
        return None

    @abstractmethod
    def betas(self, timesteps: int) -> Tensor:
        """Return the variances of the `timesteps` forward steps, shape (T,), float64, each in (0, 1).

        The last beta may be exactly 1 (zero terminal SNR); x_{T-1} is then pure noise.
        """

    def process(self, timesteps: int) -> Process:
        """Return the forward process over T timesteps.

        Raises:
            PluginError: if the betas are not T numbers in (0, 1).
        """
        from noisette.diffusion.process import Process

        process = Process(self.betas(timesteps))
        if len(process) != timesteps:
            raise PluginError(f"schedule {self.name}: expected {timesteps} betas; got {len(process)}")
        return process
