"""The contract of backbones."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, ClassVar

from noisette.contracts.plugin import Plugin

if TYPE_CHECKING:
    from torch import nn

__all__ = ["Backbone", "Shape"]

Shape = tuple[int, int, int]
"""Channels, height and width of one picture."""


class Backbone(Plugin):
    """The architecture of a network; the plugin is its configuration, the module its product."""

    kind: ClassVar[str] = "backbone"

    @abstractmethod
    def build(self, shape: Shape, classes: int, outputs: int) -> nn.Module:
        """Build an untrained network, called as `net(x, t, label=None)`.

        The network takes x (N, C, H, W) in about [-1, 1], t (N,) int64 in [0, T) and, where it has classes,
        label (N,) int64 in [0, classes]; the label `classes` means "none". It returns (N, outputs, H, W).
        In evaluation mode pictures of a batch do not influence one another.

        Args:
            shape: channels, height and width of what the network sees.
            classes: how many labels there are; 0 builds a network without labels.
            outputs: channels that the network returns.

        Raises:
            DataError: if the architecture cannot work at this shape; the message says which shapes it can.
        """
