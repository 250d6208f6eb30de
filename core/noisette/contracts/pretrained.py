"""A network that was trained elsewhere, as `Backbone.read_foreign` gives it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from noisette.contracts import Backbone
from noisette.errors import DataError

__all__ = ["Pretrained"]


@dataclass(frozen=True)
class Pretrained:
    """The weights of another library, under our names.

    Attributes:
        source: the file or folder they come from.
        backbone: the plugin, with the options that they need.
        inputs: channels that the network takes.
        outputs: channels that it gives.
        classes: its labels without the one for "none"; 0 for none at all.
        size: height and width of its pictures, where the source says so.
        state: the weights, float32.
        process: what the source says of the process, as the keys of a config; empty if it is silent.
    """

    source: Path
    backbone: Backbone
    inputs: int
    outputs: int
    classes: int
    size: tuple[int, int] | None
    state: dict[str, Tensor]
    process: dict[str, Any] = field(default_factory=dict)

    def network(self, size: tuple[int, int] | None = None) -> nn.Module:
        """Build the network with these weights, in evaluation mode, for pictures of `size` or of its own.

        Raises:
            DataError: if no size is known, or the weights do not fit the options.
        """
        size = size or self.size
        if size is None:
            raise DataError(f"{self.source}: does not say for which size of pictures; give one")
        with torch.random.fork_rng(devices=[]):  # the first weights are drawn, then replaced
            network = self.backbone.build((self.inputs, *size), self.classes, self.outputs)
        self._check(network)
        network.load_state_dict(self.state)
        return network.eval()

    def checked(self) -> Pretrained:
        """Return itself, if the weights have the names and shapes of the network.

        Raises:
            DataError: naming those that do not.
        """
        with torch.device("meta"):
            self._check(self.backbone.build((self.inputs, *(self.size or (512, 512))), self.classes, self.outputs))
        return self

    def _check(self, network: nn.Module) -> None:
        expected = {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}
        came = {name: tuple(tensor.shape) for name, tensor in self.state.items()}
        wrong = [name for name in {**expected, **came} if expected.get(name) != came.get(name)]
        if wrong:
            name = wrong[0]
            raise DataError(
                f"{self.source}: {len(wrong)} weights do not fit {self.backbone!r}: {name}: "
                f"expected {expected.get(name, 'none')}; came {came.get(name, 'none')}"
            )
