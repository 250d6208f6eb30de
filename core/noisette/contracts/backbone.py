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
    """The architecture of a network; the plugin is its configuration, the module its product."""

    kind: ClassVar[str] = "backbone"
    excluded_from_key = (*Plugin.excluded_from_key, "export", "import_pretrained")

    @abstractmethod
    def build(self, shape: Shape, classes: int, outputs: int) -> nn.Module:
        """Build an untrained network, called as `net(x, t, label=None)`.

        The network takes x (N, C, H, W) in about [-1, 1], t (N,) int64 in [0, T) and, where it has classes,
        label (N,) int64 in [0, classes]; the label `classes` means "none". It returns (N, outputs, H, W).
        In evaluation mode images of a batch do not influence one another.

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
    def import_pretrained(cls, path: Path) -> Pretrained | None:
        """Read a network that another library trained, for `noisette import`; None if it is of no kind known.

        Raises:
            DataError: if it is a file of the kind that it knows, and cannot be read or said with this backbone.
        """
        return None


@dataclass(frozen=True)
class Pretrained:
    """A network that was trained elsewhere: the weights of another library, under our names.

    Attributes:
        source: the file or folder they come from.
        backbone: the plugin, with the options that they need.
        in_channels: channels that the network takes.
        outputs: channels that it gives.
        classes: its labels without the one for "none"; 0 for none at all.
        size: height and width of its images, where the source says so.
        state: the weights, float32.
        process: what the source says of the process, as the keys of a config; empty if it is silent.
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
            DataError: if no size is known, or the weights do not fit the options.
        """
        import torch

        size = size or self.size
        if size is None:
            raise DataError(f"{self.source}: does not say for which size of images; give one")
        with torch.random.fork_rng(devices=[]):  # the first weights are drawn, then replaced
            network = self.backbone.build((self.in_channels, *size), self.classes, self.outputs)
        self._check(network)
        network.load_state_dict(self.state)
        return network.eval()

    def validate(self) -> Pretrained:
        """Return itself, if the weights have the names and shapes of the network.

        Raises:
            DataError: naming those that do not.
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
                f"expected {expected.get(name, 'none')}; came {actual.get(name, 'none')}"
            )
