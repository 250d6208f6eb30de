"""tutorial and bedrooms: denoising-diffusion-pytorch 2.3.4 itself."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, ClassVar
from unittest.mock import patch

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from noisette import Shape
from noisette_plugins.backbones.exchange.lucidrains import from_lucidrains
from proofs.comparison import Comparison
from proofs.ours import preprocess, replay_noise
from proofs.recipe import Recipe

__all__ = ["Lucidrains"]


class Lucidrains(Recipe):
    """The library's Unet, GaussianDiffusion, Dataset and EMA, as its Trainer uses them."""

    names: ClassVar[tuple[str, ...]] = ("tutorial", "bedrooms")
    shape: ClassVar[Shape] = (3, 16, 16)
    narrow: ClassVar[Mapping[str, Any]] = {"backbone.channels": 8}
    short: ClassVar[Mapping[str, Any]] = {"sampling.samplers.0.steps": 10}
    reasons: ClassVar[Mapping[str, str]] = {
        "preprocessing": "another filter, and the crop before it",
    }
    steps: ClassVar[int] = 130  # the library's EMA averages from the 100th step on

    def network(self, *, narrow: bool = False) -> nn.Module:
        from denoising_diffusion_pytorch import Unet

        return Unet(8 if narrow else 64, dim_mults=(1, 2, 4, 8), flash_attn=self.name == "bedrooms")

    def our_weights(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return from_lucidrains(state)

    def loss(self, network: nn.Module, x0: Tensor, t: Tensor, eps: Tensor, label: Tensor | None) -> Tensor:
        return self._diffusion(network).p_losses(x0, t, eps)

    def optimizer(self, network: nn.Module) -> torch.optim.Optimizer:
        return torch.optim.Adam(network.parameters(), lr=8e-5, betas=(0.9, 0.99))

    def clip(self, network: nn.Module) -> None:
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)

    def ema(self, network: nn.Module) -> Any:
        return _Average(network)

    def sample(self, network: nn.Module, start: Tensor, noises: list[Tensor]) -> list[Tensor]:
        library = "denoising_diffusion_pytorch.denoising_diffusion_pytorch"
        with replay_noise(start, *noises), patch(f"{library}.tqdm", lambda steps, **_: steps):
            return [self._diffusion(network).ddim_sample(start.shape) * 2 - 1]

    def preprocessing(self) -> Iterator[Comparison]:
        from denoising_diffusion_pytorch.denoising_diffusion_pytorch import Dataset

        waves = np.add.outer(np.arange(160), np.arange(220))[..., None] * np.array([0.05, 0.08, 0.13])
        image = Image.fromarray(((np.sin(waves) + 1) * 127.5).astype(np.uint8))
        with TemporaryDirectory() as folder:
            image.save(Path(folder) / "image.png")
            theirs = Dataset(folder, 128, convert_image_to="RGB")[0]
        ours = preprocess(self.experiment, image)
        yield self._compare("preprocessing", ours, theirs * 2 - 1)
        cropped = image.crop((30, 0, 190, 160)).resize((128, 128), Image.Resampling.BICUBIC)
        expected = torch.tensor(np.asarray(cropped) / 127.5 - 1, dtype=torch.float32).permute(2, 0, 1)
        yield self._compare("preprocessing, crop and Pillow's bicubic filter", ours, expected)

    def _diffusion(self, network: nn.Module) -> Any:
        from denoising_diffusion_pytorch import GaussianDiffusion

        return GaussianDiffusion(
            network, image_size=self.shape[1:], timesteps=1000, sampling_timesteps=10 if self.always_narrow else 250
        )


class _Average:
    """The library's EMA with the two names that are used here."""

    def __init__(self, network: nn.Module) -> None:
        from ema_pytorch import EMA

        self._ema = EMA(network, beta=0.995, update_every=10)
        self.module = self._ema.ema_model

    def update(self, network: nn.Module) -> None:
        self._ema.update()
