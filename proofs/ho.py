"""cifar10: an oracle written from hojonathanho/diffusion (c461299), which needs TensorFlow 1 and a TPU."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any, ClassVar

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F

from noisette import Shape
from proofs.comparison import Comparison
from proofs.ours import preprocess
from proofs.recipe import Recipe, copy_weights, merge_qkv, random_zeros

__all__ = ["Ho", "PlainEMA", "RawMomentAdam", "sample_ancestrally"]


def _initialise(layer: nn.Conv2d | nn.Linear, scale: float) -> Any:
    """Set weights as `variance_scaling(scale, fan_avg, uniform)` draws them, and biases to 0."""
    area = layer.weight[0, 0].numel()
    fans = layer.weight.shape[0] * area, layer.weight.shape[1] * area
    limit = math.sqrt(3 * (scale or 1e-10) / (sum(fans) / 2))
    nn.init.uniform_(layer.weight, -limit, limit)
    assert layer.bias is not None
    nn.init.zeros_(layer.bias)
    return layer


def _conv(inputs: int, outputs: int, size: int = 3, scale: float = 1.0, **options: Any) -> Any:
    return _initialise(nn.Conv2d(inputs, outputs, size, **options), scale)


def _dense(inputs: int, outputs: int) -> Any:
    return _initialise(nn.Linear(inputs, outputs), 1.0)


def _norm(channels: int) -> nn.GroupNorm:
    return nn.GroupNorm(32, channels, eps=1e-6)  # the defaults of tf.contrib's group_norm


class _Block(nn.Module):
    def __init__(self, inputs: int, outputs: int, temb: int) -> None:
        super().__init__()
        self.norm1, self.conv1 = _norm(inputs), _conv(inputs, outputs, padding=1)
        self.temb_proj = _dense(temb, outputs)
        self.norm2, self.conv2 = _norm(outputs), _conv(outputs, outputs, scale=0.0, padding=1)
        self.nin_shortcut = _conv(inputs, outputs, 1) if inputs != outputs else None

    def forward(self, x: Tensor, temb: Tensor) -> Tensor:
        h = self.conv1(_swish(self.norm1(x)))
        h = h + self.temb_proj(_swish(temb))[:, :, None, None]
        h = self.conv2(_swish(self.norm2(h)))
        return (x if self.nin_shortcut is None else self.nin_shortcut(x)) + h


class _Attention(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = _norm(channels)
        self.q, self.k, self.v = (_conv(channels, channels, 1) for _ in range(3))
        self.proj_out = _conv(channels, channels, 1, scale=0.0)

    def forward(self, x: Tensor) -> Tensor:
        h = self.norm(x)
        q, k, v = (layer(h).flatten(2) for layer in (self.q, self.k, self.v))
        weights = torch.softmax(torch.einsum("bcq,bck->bqk", q, k) * x.shape[1] ** -0.5, -1)
        return x + self.proj_out(torch.einsum("bqk,bck->bcq", weights, v).view(x.shape))


class _Stage(nn.Module):
    def __init__(self, inputs: int, outputs: int, temb: int, attends: bool) -> None:
        super().__init__()
        self.block, self.attn = _Block(inputs, outputs, temb), _Attention(outputs) if attends else None

    def forward(self, x: Tensor, temb: Tensor) -> Tensor:
        x = self.block(x, temb)
        return x if self.attn is None else self.attn(x)


class _UNet(nn.Module):
    """Attention is at the second level: 16x16 of 32x32."""

    def __init__(self, ch: int, ch_mult: tuple[int, ...]) -> None:
        super().__init__()
        self.ch, temb, last = ch, 4 * ch, len(ch_mult) - 1
        self.dense0, self.dense1 = _dense(ch, temb), _dense(temb, temb)
        self.conv_in = _conv(3, ch, padding=1)
        skips, width = [ch], ch
        self.down, self.up = nn.ModuleList(), nn.ModuleList()
        self.downsample, self.upsample = nn.ModuleList(), nn.ModuleList()
        for level, factor in enumerate(ch_mult):
            self.down.append(nn.ModuleList())
            for _ in range(2):
                self.down[-1].append(_Stage(width, ch * factor, temb, level == 1))  # type: ignore[operator]
                width = ch * factor
                skips.append(width)
            if level != last:
                self.downsample.append(_conv(width, width, stride=2))
                skips.append(width)
        self.mid1, self.mid_attn, self.mid2 = (
            _Block(width, width, temb),
            _Attention(width),
            _Block(width, width, temb),
        )
        for level in reversed(range(len(ch_mult))):
            self.up.append(nn.ModuleList())
            for _ in range(3):
                stage = _Stage(width + skips.pop(), ch * ch_mult[level], temb, level == 1)
                self.up[-1].append(stage)  # type: ignore[operator]
                width = ch * ch_mult[level]
            if level:
                self.upsample.append(_conv(width, width, padding=1))
        self.norm_out, self.conv_out = _norm(ch), _conv(ch, 3, scale=0.0, padding=1)

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        half = self.ch // 2
        rates = torch.exp(torch.arange(half) * -(math.log(10000) / (half - 1)))
        angles = t[:, None].float() * rates
        temb = self.dense1(_swish(self.dense0(torch.cat([angles.sin(), angles.cos()], 1))))
        hs = [self.conv_in(x)]
        for level, stages in enumerate(self.down):
            for stage in stages:  # type: ignore[attr-defined]
                hs.append(stage(hs[-1], temb))
            if level < len(self.downsample):
                hs.append(self.downsample[level](F.pad(hs[-1], (0, 1, 0, 1))))  # SAME, stride 2
        h = self.mid2(self.mid_attn(self.mid1(hs[-1], temb)), temb)
        for level, stages in enumerate(self.up):
            for stage in stages:  # type: ignore[attr-defined]
                h = stage(torch.cat([h, hs.pop()], 1), temb)
            if level < len(self.upsample):
                h = self.upsample[level](h.repeat_interleave(2, 2).repeat_interleave(2, 3))
        out: Tensor = self.conv_out(_swish(self.norm_out(h)))
        return out


def _swish(x: Tensor) -> Tensor:
    return x * torch.sigmoid(x)


class RawMomentAdam(torch.optim.Optimizer):
    """TensorFlow's Adam: epsilon is added to the root of the raw second moment, or as in torch of the corrected."""

    def __init__(self, parameters: Any, lr: float, epsilon: float, *, corrected: bool = False) -> None:
        super().__init__(parameters, {"lr": lr})
        self.epsilon, self.corrected = epsilon, corrected

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:
        for group in self.param_groups:
            for w in group["params"]:
                state = self.state[w]
                t = state["t"] = state.get("t", 0) + 1
                m = state["m"] = 0.9 * state.get("m", torch.zeros_like(w)) + 0.1 * w.grad
                v = state["v"] = 0.999 * state.get("v", torch.zeros_like(w)) + 0.001 * w.grad**2
                lr = group["lr"] * math.sqrt(1 - 0.999**t) / (1 - 0.9**t)
                epsilon = self.epsilon * (math.sqrt(1 - 0.999**t) if self.corrected else 1)
                w -= lr * m / (v.sqrt() + epsilon)


class PlainEMA:
    """Averaged weights without a warm-up, which begin with the initial weights."""

    def __init__(self, network: nn.Module, decay: float) -> None:
        from copy import deepcopy

        self.module, self.decay = deepcopy(network), decay

    @torch.no_grad()
    def update(self, network: nn.Module) -> None:
        for average, w in zip(self.module.parameters(), network.parameters(), strict=True):
            average.copy_(self.decay * average + (1 - self.decay) * w)


def sample_ancestrally(
    predict: Callable[[Tensor, Tensor], Tensor], start: Tensor, noises: list[Tensor], *, large: bool
) -> list[Tensor]:
    """Return the states of p_sample_loop with clipped x0, of Ho's code and Keras' example alike."""
    betas = np.linspace(1e-4, 0.02, 1000)
    cumulated = np.cumprod(1 - betas)
    before = np.append(1.0, cumulated[:-1])
    posterior = betas * (1 - before) / (1 - cumulated)
    variance = betas if large else posterior
    x, states = start, []
    for t, z in zip(reversed(range(1000)), noises, strict=True):
        eps = predict(x, torch.full((len(x),), t))
        x0 = x * math.sqrt(1 / cumulated[t]) - eps * math.sqrt(1 / cumulated[t] - 1)
        x = x0.clamp(-1, 1) * (betas[t] * math.sqrt(before[t]) / (1 - cumulated[t])) + x * (
            (1 - before[t]) * math.sqrt(1 - betas[t]) / (1 - cumulated[t])
        )
        x = x + math.sqrt(variance[t]) * z if t else x
        states.append(x)
    return states


class Ho(Recipe):
    """scripts/run_cifar.py, without dropout, whose masks are drawn in the order of the memory."""

    names: ClassVar[tuple[str, ...]] = ("cifar10",)
    shape: ClassVar[Shape] = (3, 16, 16)
    narrow: ClassVar[Mapping[str, Any]] = {"backbone.channels": 32, "backbone.multipliers": [1, 2]}
    reasons: ClassVar[Mapping[str, str]] = {
        "initial weights": "torch's defaults, not variance scaling",
        "learning rates": "the original's warm-up is a step later",
        "steps of biases / learning rate": "Adam's epsilon is added to another root",
    }
    late: ClassVar[int] = 1

    def __init__(self, name: str, changes: Mapping[str, Any], *, narrow: bool = False) -> None:
        super().__init__(name, {"backbone.dropout": 0.0, **changes}, narrow=narrow)

    def network(self, *, narrow: bool = False) -> nn.Module:
        return random_zeros(self._network(narrow))

    def initial_weights(self) -> dict[str, Tensor]:
        return self.our_weights(self.state(self._network(narrow=True)))

    def _network(self, narrow: bool) -> nn.Module:
        return _UNet(32, (1, 2)) if narrow else _UNet(128, (1, 2, 2, 2))

    def our_weights(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return merge_qkv(copy_weights(state, _RENAMES))

    def loss(self, network: nn.Module, x0: Tensor, t: Tensor, eps: Tensor, label: Tensor | None) -> Tensor:
        a = torch.tensor(np.cumprod(1 - np.linspace(1e-4, 0.02, 1000)))[t].view(-1, 1, 1, 1)
        x_t = a.sqrt().float() * x0 + (1 - a).sqrt().float() * eps
        return (eps - network(x_t, t)).square().mean((1, 2, 3)).mean()

    def optimizer(self, network: nn.Module) -> torch.optim.Optimizer:
        return RawMomentAdam(network.parameters(), 2e-4, 1e-8)

    def with_our_epsilon(self, network: nn.Module) -> dict[str, torch.optim.Optimizer]:
        return {", epsilon as ours": RawMomentAdam(network.parameters(), 2e-4, 1e-8, corrected=True)}

    def clip(self, network: nn.Module) -> None:
        """Of one shard; the original has eight, and clips the gradient of each."""
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)

    def rate(self, step: int) -> float:
        return min(step / 5000, 1.0)

    def ema(self, network: nn.Module) -> Any:
        return PlainEMA(network, 0.9999)

    def sample(self, network: nn.Module, start: Tensor, noises: list[Tensor]) -> list[Tensor]:
        return sample_ancestrally(network, start, noises, large=True)

    def preprocessing(self) -> Iterator[Comparison]:
        pixels = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
        theirs = torch.tensor(pixels).permute(2, 0, 1).float() / 127.5 - 1
        yield self._compare("preprocessing", preprocess(self.experiment, Image.fromarray(pixels)), theirs)


_RENAMES = {
    "dense0.": "embedding.inner.",
    "dense1.": "embedding.outer.",
    "conv_in.": "enter.",
    "conv_out.": "leave.",
    "norm_out.": "norm.",
    "temb_proj.": "embed.",
    "nin_shortcut.": "skip.",
    "mid1.": "middle1.",
    "mid2.": "middle2.",
    "mid_attn.": "middle_attention.",
    ".attn.": ".attention.",
    "proj_out.": "project.",
    **{f"downsample.{level}.": f"shrink.{level}.convolution.conv." for level in range(3)},
    **{f"upsample.{level}.": f"grow.{level}.convolution.conv." for level in range(3)},
}
