"""The contract of backbones."""

from __future__ import annotations

from abc import abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from noisette.contracts.plugin import Plugin
from noisette.errors import DataError

if TYPE_CHECKING:
    from torch import nn

    from noisette.checkpoint import Checkpoint
    from noisette.contracts.pretrained import Pretrained

__all__ = ["Backbone", "Shape"]

Shape = tuple[int, int, int]
"""Channels, height and width of one picture."""


class Backbone(Plugin):
    """The architecture of a network; the plugin is its configuration, the module its product."""

    kind: ClassVar[str] = "backbone"
    unkeyed = (*Plugin.unkeyed, "export", "read_foreign")

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

    def export(self, checkpoint: Checkpoint, folder: Path, label: str | None = None) -> None:
        """Write a trained network of this backbone as another library reads it; `noisette export` asks for it.

        Args:
            checkpoint: of an experiment with this backbone; its averaged weights are written.
            folder: must not be there, or be empty; appears whole or not at all.
            label: class that the other library is to draw, for a network that knows classes; None for no class.

        Raises:
            DataError: if the other library cannot say the same. A backbone that no other one knows always does.
        """
        raise DataError(f"{checkpoint.directory}: the backbone {self.name} has no form in another library")

    @classmethod
    def read_foreign(cls, path: Path) -> Pretrained | None:
        """Read a network that another library trained, for `noisette import`; None if it is of no kind known.

        Raises:
            DataError: if it is a file of the kind that it knows, and cannot be read or said with this backbone.
        """
        return None
