"""mnist-annotated: labml-nn 0.5.1 itself."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F

from noisette import Shape
from proofs.comparison import Comparison, compare
from proofs.ours import preprocess, replay_noise
from proofs.recipe import Recipe, copy_weights

__all__ = ["Labml"]


class Labml(Recipe):
    """The library's UNet and DenoiseDiffusion, as its Configs use them.

    Without dropout: its masks are drawn in the order of the memory, which differs behind the attention.
    """

    names: ClassVar[tuple[str, ...]] = ("mnist-annotated",)
    shape: ClassVar[Shape] = (1, 16, 16)
    narrow: ClassVar[Mapping[str, Any]] = {"backbone.channels": 32, "backbone.multipliers": [1, 1, 1, 2]}
    reasons: ClassVar[Mapping[str, str]] = {
        "preprocessing, in [0, 1]": "another filter",
        "trajectory": "noise at the original's last step, of standard deviation 0.01",
    }

    def __init__(self, name: str, changes: Mapping[str, Any], *, narrow: bool = False) -> None:
        super().__init__(name, {"backbone.dropout": 0.0, **changes}, narrow=narrow)

    def network(self, *, narrow: bool = False) -> nn.Module:
        from labml_nn.diffusion.ddpm.unet import UNet

        sizes = {"n_channels": 32, "ch_mults": (1, 1, 1, 2)} if narrow else {}
        network = UNet(1, is_attn=[False, False, False, True], **sizes)
        for module in network.modules():
            if isinstance(module, nn.Dropout):
                module.p = 0.0
        return network

    def our_weights(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        used = {name: x for name, x in state.items() if ".attn.norm." not in name}  # made, and never called
        renamed = copy_weights(used, _RENAMES)
        # a convolution that changes the size is the layer itself here
        renamed = {name.replace(".conv.", "."): x for name, x in renamed.items()}
        return {
            name: x[..., None, None] if ".attention." in name and x.ndim == 2 else x for name, x in renamed.items()
        }

    def loss(self, network: nn.Module, x0: Tensor, t: Tensor, eps: Tensor, label: Tensor | None) -> Tensor:
        x_t = self._diffusion(network).q_sample(x0, t, eps)
        return F.mse_loss(eps, network(x_t, t))

    def optimizer(self, network: nn.Module) -> torch.optim.Optimizer:
        return torch.optim.Adam(network.parameters(), lr=2e-5)

    def sample(self, network: nn.Module, start: Tensor, noises: list[Tensor]) -> list[Tensor]:
        diffusion, x, states = self._diffusion(network), start, []
        with replay_noise(*noises):
            for t in reversed(range(1000)):
                x = diffusion.p_sample(x, torch.full((len(x),), t))
                states.append(x)
        return states

    def sampling(self) -> Iterator[Comparison]:
        """Yield what comes of a whole trajectory, and of it without the last step."""
        ours, theirs = self.trajectories()
        yield compare(f"trajectory of {len(ours)} steps", ours[-1], theirs[-1], self.reasons["trajectory"])
        yield self._compare("999 of 1000 steps", ours[-2], theirs[-2])

    def preprocessing(self) -> Iterator[Comparison]:
        from torchvision.transforms import Resize, ToTensor

        digit = Image.fromarray((np.outer(np.hanning(28), np.hanning(28)) * 255).astype(np.uint8))
        ours = (preprocess(self.experiment, digit) + 1) / 2
        yield self._compare("preprocessing, in [0, 1]", ours, ToTensor()(Resize(32)(digit)))
        bicubic = digit.resize((32, 32), Image.Resampling.BICUBIC)
        yield self._compare("preprocessing, Pillow's bicubic filter", ours, ToTensor()(bicubic))

    def _diffusion(self, network: nn.Module) -> Any:
        from labml_nn.diffusion.ddpm import DenoiseDiffusion

        return DenoiseDiffusion(network, 1000, torch.device("cpu"))


_RENAMES = {
    "image_proj.": "enter.",
    "time_emb.lin1.": "embedding.inner.",
    "time_emb.lin2.": "embedding.outer.",
    "middle.res1.": "middle1.",
    "middle.res2.": "middle2.",
    "middle.attn.": "middle1.attention.",
    ".res.": ".",
    ".attn.": ".attention.",
    ".projection.": ".qkv.",
    ".output.": ".project.",
    ".time_emb.": ".embed.",
    ".shortcut.": ".skip.",
    "final.": "leave.",
}
