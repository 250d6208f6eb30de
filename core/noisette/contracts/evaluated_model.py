"""What a metric reads of the model that it judges."""

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
    """What a network is shown beside x_t."""

    @property
    def low_res_size(self) -> int | None:
        """Pixels of the shorter side of a small image, enlarged; None for none."""


class EvaluatedModel(Protocol):
    """A trained network with its objective and tables, such as a `noisette.Model`."""

    @property
    def objective(self) -> Objective:
        """How its output is read."""

    @property
    def process(self) -> Process:
        """The process it was trained on."""

    @property
    def shape(self) -> Shape:
        """Channels, height and width of its images."""

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of its labels; empty for a network without."""

    @property
    def machine(self) -> Machine:
        """Where it computes."""

    @property
    def conditioning(self) -> _Conditioning:
        """What the network is shown beside x_t."""

    def forward_raw(
        self, x_t: Tensor, t: Tensor, label: Tensor | None = None, low_res: Tensor | None = None
    ) -> Tensor:
        """Return what the network says of images, each at its own step: (N, outputs * C, H, W)."""
