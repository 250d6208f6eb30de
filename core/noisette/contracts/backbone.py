"""The contract of backbones."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from noisette.contracts.plugin import Plugin
from noisette.errors import DataError

if TYPE_CHECKING:
    from torch import Tensor, nn

    from noisette.checkpoint import Checkpoint

__all__ = ["Backbone", "Pretrained", "Shape"]

Shape = tuple[int, int, int]
"""Channels, height and width of one image."""


class Backbone(Plugin):
    """The architecture of a network; the plugin holds its options and builds the module."""

    kind: ClassVar[str] = "backbone"
    excluded_from_key = (*Plugin.excluded_from_key, "export", "import_pretrained")

    @abstractmethod
    def build(self, shape: Shape, classes: int, outputs: int) -> nn.Module:
        """Build an untrained network, called as `net(x, t, label=None)`.

        The network takes x (N, C, H, W) in about [-1, 1], t (N,) int64 in [0, T) and, if it has classes, label (N,)
        int64 in [0, classes]; the label `classes` means "unconditional". It returns (N, outputs, H, W). In
        evaluation mode, the images of a batch do not influence one another.

        Args:
            shape: channels, height and width of the input, conditioning included.
            classes: number of labels; 0 builds an unconditional network.
            outputs: number of output channels.

        Raises:
            DataError: if the architecture does not support this shape; the message says which shapes it supports.
        """

    def export(self, checkpoint: Checkpoint, folder: Path, label: str | None = None) -> None:
        """Write a trained network in the format of another library, for `noisette export`.

        Args:
            checkpoint: of an experiment with this backbone; its averaged weights are written.
            folder: a new or empty directory, written atomically.
            label: class that the other library generates, for a class-conditional network; None for no class.

        Raises:
            DataError: if the other library cannot represent the network; always, for a backbone without an export.
        """
        raise DataError(f"{checkpoint.directory}: the backbone {self.name} cannot be exported to another library")

    @classmethod
    def import_pretrained(cls, path: Path) -> Pretrained | None:
        """Read a network that another library trained, for `noisette import`; None if the format is not supported.

        Raises:
            DataError: if the format is supported, but the file cannot be read or does not fit this backbone.
        """
        return None


@dataclass(frozen=True)
class Pretrained:
    """A network of another library, with its weights under noisette's names.

    Attributes:
        source: the file or directory of the weights.
        backbone: the backbone with the options that fit the weights.
        in_channels: number of input channels.
        outputs: number of output channels.
        classes: number of labels without the one for "unconditional"; 0 for an unconditional network.
        size: height and width of its images; None if unknown.
        state: the weights, float32.
        process: config keys of the forward process, as far as the source defines it.
    """

    source: Path
    backbone: Backbone
    in_channels: int
    outputs: int
    classes: int
    size: tuple[int, int] | None
    state: dict[str, Tensor]
    process: dict[str, Any] = field(default_factory=dict)

    def network(self, size: tuple[int, int] | None = None) -> nn.Module:
        """Build the network with these weights, in evaluation mode, for images of `size` or of its own.

        Raises:
            DataError: if no size is known, or the weights do not fit the network.
        """
        import torch

        size = size or self.size
        if size is None:
            raise DataError(f"{self.source}: expected a size of images, as it defines none")
        with torch.random.fork_rng(devices=[]):  # the initial weights are random, and replaced
            network = self.backbone.build((self.in_channels, *size), self.classes, self.outputs)
        self._check(network)
        network.load_state_dict(self.state)
        return network.eval()

    def validate(self) -> Pretrained:
        """Return itself if the weights have the names and shapes of the network.

        Raises:
            DataError: naming the first weight that does not.
        """
        import torch

        with torch.device("meta"):
            self._check(
                self.backbone.build((self.in_channels, *(self.size or (512, 512))), self.classes, self.outputs)
            )
        return self

    def _check(self, network: nn.Module) -> None:
        expected = {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}
        actual = {name: tuple(tensor.shape) for name, tensor in self.state.items()}
        wrong = [name for name in {**expected, **actual} if expected.get(name) != actual.get(name)]
        if wrong:
            name = wrong[0]
            raise DataError(
                f"{self.source}: {len(wrong)} weights do not fit {self.backbone!r}: {name}: "
                f"expected {expected.get(name, 'none')}; got {actual.get(name, 'none')}"
            )
