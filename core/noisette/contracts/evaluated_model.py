"""The model as metrics see it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from torch import Tensor

    from noisette.contracts.backbone import Shape
    from noisette.contracts.objective import Objective
    from noisette.diffusion.process import Process
    from noisette.machine import Machine

__all__ = ["EvaluatedModel"]


class _Conditioning(Protocol):
    """The conditioning of a network."""

    @property
    def low_res_size(self) -> int | None:
        """Shorter side of the low-resolution image in pixels; None without super-resolution."""


class EvaluatedModel(Protocol):
    """A trained network with its objective and process, such as a `noisette.Model`."""

    @property
    def objective(self) -> Objective:
        """The objective that the network was trained with."""

    @property
    def process(self) -> Process:
        """The process that the network was trained on."""

    @property
    def shape(self) -> Shape:
        """Channels, height and width of the images."""

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names; empty for an unconditional network."""

    @property
    def machine(self) -> Machine:
        """The device and the precision."""

    @property
    def conditioning(self) -> _Conditioning:
        """The input channels besides x_t."""

    def forward_raw(
        self, x_t: Tensor, t: Tensor, label: Tensor | None = None, low_res: Tensor | None = None
    ) -> Tensor:
        """Return the network's output for images at timesteps t (N,), (N, outputs * C, H, W)."""
