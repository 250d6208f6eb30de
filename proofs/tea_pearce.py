"""mnist-conditional: an oracle written from TeaPearce/Conditional_Diffusion_MNIST, script.py (1248f64)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F

from noisette import Shape
from proofs.comparison import Comparison
from proofs.ours import preprocess
from proofs.recipe import Recipe, copy_weights

__all__ = ["TeaPearce"]

_T, _CLASSES = 400, 10


def _schedule() -> tuple[Tensor, Tensor]:
    """Return betas and cumulated alphas of the timesteps 0 to 400, of which 0 is never trained."""
    betas = (0.02 - 1e-4) * torch.arange(0, _T + 1) / _T + 1e-4
    return betas, torch.log(1 - betas).cumsum(0).exp()


def _pair(inputs: int, outputs: int) -> nn.ModuleList:
    return nn.ModuleList(
        nn.Sequential(nn.Conv2d(width, outputs, 3, 1, 1), nn.BatchNorm2d(outputs), nn.GELU())
        for width in (inputs, outputs)
    )


def _fc(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(inputs, outputs), nn.GELU(), nn.Linear(outputs, outputs))


class _Context(nn.Module):
    """The script's ContextUnet."""

    def __init__(self, n: int) -> None:
        super().__init__()
        self.n = n
        self.init, self.down1, self.down2 = _pair(1, n), _pair(n, n), _pair(n, 2 * n)
        self.time1, self.time2 = _fc(1, 2 * n), _fc(1, n)
        self.context1, self.context2 = _fc(_CLASSES, 2 * n), _fc(_CLASSES, n)
        self.up0 = nn.Sequential(nn.ConvTranspose2d(2 * n, 2 * n, 7, 7), nn.GroupNorm(8, 2 * n), nn.ReLU())
        self.up1 = nn.ModuleList([nn.ConvTranspose2d(4 * n, n, 2, 2), _pair(n, n), _pair(n, n)])
        self.up2 = nn.ModuleList([nn.ConvTranspose2d(2 * n, n, 2, 2), _pair(n, n), _pair(n, n)])
        self.out = nn.Sequential(
            nn.Conv2d(2 * n, n, 3, 1, 1), nn.GroupNorm(8, n), nn.ReLU(), nn.Conv2d(n, 1, 3, 1, 1)
        )

    def forward(self, x: Tensor, c: Tensor, t: Tensor, mask: Tensor) -> Tensor:
        first = self.init[0](x)
        x = (first + self.init[1](first)) / 1.414  # one channel becomes n: the sum is that of the convolutions
        down1 = F.max_pool2d(_both(self.down1, x), 2)
        down2 = F.max_pool2d(_both(self.down2, down1), 2)
        hidden = F.gelu(F.avg_pool2d(down2, 7))
        c = F.one_hot(c, _CLASSES).float() * -(1 - mask[:, None])
        t = t.view(-1, 1)
        up = self.up0(hidden)
        up = self.context1(c).view(-1, 2 * self.n, 1, 1) * up + self.time1(t).view(-1, 2 * self.n, 1, 1)
        up = self._up(self.up1, up, down2)
        up = self.context2(c).view(-1, self.n, 1, 1) * up + self.time2(t).view(-1, self.n, 1, 1)
        up = self._up(self.up2, up, down1)
        return self.out(torch.cat((up, x), 1))

    @staticmethod
    def _up(layers: nn.ModuleList, x: Tensor, skip: Tensor) -> Tensor:
        return _both(layers[2], _both(layers[1], layers[0](torch.cat((x, skip), 1))))


def _both(pair: Any, x: Tensor) -> Tensor:
    return pair[1](pair[0](x))


class TeaPearce(Recipe):
    """The script, with timesteps 1 to 400 that are 0 to 399 here."""

    names: ClassVar[tuple[str, ...]] = ("mnist-conditional",)
    shape: ClassVar[Shape] = (1, 28, 28)
    narrow: ClassVar[Mapping[str, Any]] = {"backbone.channels": 16}
    reasons: ClassVar[Mapping[str, str]] = {
        **dict.fromkeys(
            ("signal, timesteps 1 to 400", "trajectory"),
            "401 betas, of which the first is not used alone",
        ),
    }

    def network(self, *, narrow: bool = False) -> nn.Module:
        if not narrow:
            return _Context(128)
        network = _Context(16)
        with torch.no_grad():
            for name, p in network.named_parameters():
                if name.startswith("context"):
                    p.mul_(30)  # an untrained network hardly depends on the label, nor its samples on guidance
        return network

    def our_weights(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return copy_weights(state, _RENAMES)

    def loss(self, network: nn.Module, x0: Tensor, t: Tensor, eps: Tensor, label: Tensor | None) -> Tensor:
        """Noise by our betas: those of the original are compared on their own."""
        assert label is not None
        alpha, sigma = self.experiment.schedule.process(_T).alpha_sigma(t, x0)
        hidden = label == _CLASSES
        x_t = alpha * x0 + sigma * eps
        return F.mse_loss(eps, network(x_t, label.masked_fill(hidden, 0), (t + 1) / _T, hidden.float()))

    def optimizer(self, network: nn.Module) -> torch.optim.Optimizer:
        return torch.optim.Adam(network.parameters(), lr=1e-4)

    def sample(self, network: nn.Module, start: Tensor, noises: list[Tensor]) -> list[Tensor]:
        betas, cumulated = _schedule()
        n, w = len(start), 2.0
        labels, mask = torch.arange(n).repeat(2), torch.cat([torch.zeros(n), torch.ones(n)])
        x, states = start, []
        for i, z in zip(range(len(noises), 0, -1), noises, strict=True):
            time = torch.full((2 * n,), i / _T)
            cond, uncond = network(x.repeat(2, 1, 1, 1), labels, time, mask).chunk(2)
            eps = (1 + w) * cond - w * uncond
            x = (x - eps * betas[i] / torch.sqrt(1 - cumulated[i])) / torch.sqrt(1 - betas[i])
            x = x + torch.sqrt(betas[i]) * z if i > 1 else x
            states.append(x)
        return states

    def rate(self, step: int) -> float:
        return 1 - (step // 235) / 20

    def sampling(self) -> Iterator[Comparison]:
        """Yield what comes of a whole trajectory, and of one with the original's betas."""
        yield from super().sampling()
        betas, cumulated = _schedule()
        values = [1 - float(cumulated[1]), *betas[2:].tolist()]  # the first two as one
        ours, theirs = self.trajectories({"schedule": {"name": "given", "values": values}})
        yield self._compare(f"{len(ours) - 1} of {len(ours)} steps with the original's betas", ours[-2], theirs[-2])

    def preprocessing(self) -> Iterator[Comparison]:
        from torchvision.transforms import ToTensor

        digit = Image.fromarray(np.random.default_rng(0).integers(0, 256, (28, 28), dtype=np.uint8))
        ours = (preprocess(self.experiment, digit) + 1) / 2
        yield self._compare("preprocessing, in [0, 1]", ours, ToTensor()(digit))
        signal = self.experiment.schedule.process(_T).alphas[:-1]
        yield self._compare("signal, timesteps 1 to 400", signal, _schedule()[1][1:].sqrt())


_RENAMES = {
    **{f"{pair}.0.": f"{pair}.first." for pair in ("init", "down1", "down2", "up1.1", "up1.2", "up2.1", "up2.2")},
    **{f"{pair}.1.": f"{pair}.second." for pair in ("init", "down1", "down2", "up1.1", "up1.2", "up2.1", "up2.2")},
    "init.": "enter.",
    "context": "label",
    "up0.": "expand.",
    "out.": "leave.",
}
