"""mnist-from-scratch: an oracle written from the listings of document 002."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

import numpy as np
import torch
from einops import rearrange
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F

from noisette import Shape
from proofs.comparison import Comparison
from proofs.ours import preprocess
from proofs.recipe import Recipe, copy_weights

__all__ = ["FromScratch"]


class _Block(nn.Module):
    def __init__(self, channels: int, groups: int, dropout: float) -> None:
        super().__init__()
        self.gnorm1, self.gnorm2 = nn.GroupNorm(groups, channels), nn.GroupNorm(groups, channels)
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, embeddings: Tensor) -> Tensor:
        x = x + embeddings[:, : x.shape[1]]
        r = self.dropout(self.conv1(F.relu(self.gnorm1(x))))
        return self.conv2(F.relu(self.gnorm2(r))) + x


class _Attention(nn.Module):
    """`dropout_in_eval` is the document's defect: it passes dropout_p whether the network trains or not."""

    def __init__(self, channels: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.proj1, self.proj2 = nn.Linear(channels, channels * 3), nn.Linear(channels, channels)
        self.heads, self.dropout, self.dropout_in_eval = heads, dropout, False

    def forward(self, x: Tensor) -> Tensor:
        h, w = x.shape[2:]
        x = self.proj1(rearrange(x, "b c h w -> b (h w) c"))
        q, k, v = rearrange(x, "b L (C H K) -> K b H L C", K=3, H=self.heads)
        dropout = self.dropout if self.training or self.dropout_in_eval else 0.0
        x = F.scaled_dot_product_attention(q, k, v, dropout_p=dropout)
        x = self.proj2(rearrange(x, "b H (h w) C -> b h w (C H)", h=h, w=w))
        return rearrange(x, "b h w C -> b C h w")


class _Layer(nn.Module):
    def __init__(self, up: bool, attends: bool, channels: int, groups: int, dropout: float, heads: int) -> None:
        super().__init__()
        self.block1, self.block2 = _Block(channels, groups, dropout), _Block(channels, groups, dropout)
        self.conv = (
            nn.ConvTranspose2d(channels, channels // 2, 4, stride=2, padding=1)
            if up
            else nn.Conv2d(channels, channels * 2, 3, stride=2, padding=1)
        )
        self.attention = _Attention(channels, heads, dropout) if attends else None

    def forward(self, x: Tensor, embeddings: Tensor) -> tuple[Tensor, Tensor]:
        x = self.block1(x, embeddings)
        x = x if self.attention is None else self.attention(x)
        x = self.block2(x, embeddings)
        return self.conv(x), x


class _UNet(nn.Module):
    def __init__(self, channels: list[int], groups: int = 32, dropout: float = 0.1, heads: int = 8) -> None:
        super().__init__()
        self.shallow = nn.Conv2d(1, channels[0], 3, padding=1)
        out = channels[-1] // 2 + channels[0]
        self.late, self.output = nn.Conv2d(out, out // 2, 3, padding=1), nn.Conv2d(out // 2, 1, 1)
        self.layers = nn.ModuleList(
            _Layer(index > 2, index in (1, 5), width, groups, dropout, heads)
            for index, width in enumerate(channels)
        )
        width = max(channels)
        position = torch.arange(1000).unsqueeze(1).float()
        div = torch.exp(torch.arange(0, width, 2).float() * -(np.log(10000.0) / width))
        self.embeddings = torch.zeros(1000, width)
        self.embeddings[:, 0::2], self.embeddings[:, 1::2] = torch.sin(position * div), torch.cos(position * div)

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        embeddings = self.embeddings[t][:, :, None, None]
        x, residuals = self.shallow(x), []
        for layer in self.layers[:3]:
            x, residual = layer(x, embeddings)
            residuals.append(residual)
        for layer in self.layers[3:]:
            x = torch.concat((layer(x, embeddings)[0], residuals.pop()), dim=1)
        return self.output(F.relu(self.late(x)))


class FromScratch(Recipe):
    """Document 002."""

    names: ClassVar[tuple[str, ...]] = ("mnist-from-scratch",)
    shape: ClassVar[Shape] = (1, 16, 16)
    narrow: ClassVar[Mapping[str, Any]] = {"backbone.channels": 8, "backbone.groups": 4, "backbone.heads": 2}

    short: ClassVar[Mapping[str, Any]] = {"sampling.samplers.0.spacing": list(range(19, -1, -1))}

    def network(self, *, narrow: bool = False) -> nn.Module:
        if narrow:
            return _UNet([8, 16, 32, 64, 64, 48], groups=4, heads=2)
        return _UNet([64, 128, 256, 512, 512, 384])

    def our_weights(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        renamed = copy_weights(state, _RENAMES)
        for name, tensor in renamed.items():
            if name.endswith("qkv.weight") or name.endswith("qkv.bias"):
                # the document's channels are (C H K), ours (K H C)
                heads = self._heads(tensor.shape[0])
                renamed[name] = rearrange(tensor, "(C H K) ... -> (K H C) ...", K=3, H=heads)
            elif name.endswith("project.weight"):  # its input channels are (C H), ours (H C)
                heads = self._heads(3 * tensor.shape[0])
                renamed[name] = rearrange(tensor, "o (C H) -> o (H C)", H=heads)
        return {
            name: tensor[..., None, None] if "attention" in name and tensor.ndim == 2 else tensor
            for name, tensor in renamed.items()
        }

    @staticmethod
    def _heads(channels: int) -> int:
        return 8 if channels > 3 * 64 else 2

    def loss(self, network: nn.Module, x0: Tensor, t: Tensor, eps: Tensor, label: Tensor | None) -> Tensor:
        a = torch.cumprod(1 - torch.linspace(1e-4, 0.02, 1000), dim=0)[t].view(-1, 1, 1, 1)
        return F.mse_loss(network(torch.sqrt(a) * x0 + torch.sqrt(1 - a) * eps, t), eps)

    def optimizer(self, network: nn.Module) -> torch.optim.Optimizer:
        return torch.optim.Adam(network.parameters(), lr=2e-5)

    def ema(self, network: nn.Module) -> Any:
        from timm.utils import ModelEmaV3

        return ModelEmaV3(network, decay=0.9999)

    def sample(self, network: nn.Module, start: Tensor, noises: list[Tensor]) -> list[Tensor]:
        beta = torch.linspace(1e-4, 0.02, 1000)
        alpha = torch.cumprod(1 - beta, dim=0)
        z, states = start, []
        for t, e in zip(reversed(range(len(noises))), noises, strict=True):
            temp = beta[t] / (torch.sqrt(1 - alpha[t]) * torch.sqrt(1 - beta[t]))
            z = 1 / torch.sqrt(1 - beta[t]) * z - temp * network(z, torch.full((len(z),), t))
            z = z + e * torch.sqrt(beta[t]) if t else z
            states.append(z)
        return states

    def preprocessing(self) -> Iterator[Comparison]:
        from torchvision.transforms import ToTensor

        digit = np.random.default_rng(0).integers(0, 256, (28, 28), dtype=np.uint8)
        theirs = F.pad(ToTensor()(Image.fromarray(digit)), (2, 2, 2, 2))
        ours = preprocess(self.experiment, Image.fromarray(digit))
        yield self._compare("preprocessing, in [0, 1]", (ours + 1) / 2, theirs)


_RENAMES = {
    "shallow.": "enter.",
    "late.": "last.",
    "output.": "leave.",
    **{f"layers.{index}.": f"down.{index}." for index in range(3)},
    **{f"layers.{index + 3}.": f"up.{index}." for index in range(3)},
    ".gnorm": ".norm",
    ".proj1.": ".qkv.",
    ".proj2.": ".project.",
    ".conv.": ".resize.",
}
