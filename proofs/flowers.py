"""flowers: Keras 3 on torch, with the layers, initialisation and optimizer that document 003's example names."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar
from unittest.mock import patch

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F

from noisette import Shape
from proofs.comparison import Comparison
from proofs.ho import PlainEMA, sample_ancestrally
from proofs.ours import preprocess
from proofs.recipe import Recipe, merge_qkv, random_zeros

os.environ["KERAS_BACKEND"] = "torch"

__all__ = ["Flowers"]


class _Network:
    """Builds the example's network; a layer has the name of ours, with __ for dots.

    Args:
        channels: of the first level.
        multipliers: of all levels.
        attention: which levels have it.
        normalised_skip: whether attention is added to its normalised input, as in the example.
    """

    def __init__(
        self, channels: int, multipliers: tuple[int, ...], attention: tuple[int, ...], normalised_skip: bool
    ) -> None:
        import keras

        self.layers, self.ops = keras.layers, keras.ops
        self.widths, self.attention = [channels * factor for factor in multipliers], attention
        self.normalised_skip = normalised_skip

    def build(self, shape: Shape) -> Any:
        import keras

        x = image = self.layers.Input((*shape[1:], 3))
        self.t = t = self.layers.Input((), dtype="int64")
        x = self._conv(x, self.widths[0], "enter")
        self.temb = self._embed(t, 4 * self.widths[0])
        skips, last = [x], len(self.widths) - 1
        for level, width in enumerate(self.widths):
            for stage in range(2):
                x = self._stage(x, width, f"down__{level}__{stage}", level)
                skips.append(x)
            if level != last:
                x = self._conv(x, width, f"shrink__{level}__convolution__conv", strides=2)
                skips.append(x)
        x = self._block(x, width, "middle1")
        x = self._block(self._attend(x, width, "middle_attention"), width, "middle2")
        for number, level in enumerate(reversed(range(len(self.widths)))):
            width = self.widths[level]
            for stage in range(3):
                x = self.layers.Concatenate()([x, skips.pop()])
                x = self._stage(x, width, f"up__{number}__{stage}", level)
            if level:
                x = self.layers.UpSampling2D(interpolation="nearest")(x)
                x = self._conv(x, width, f"grow__{number}__convolution__conv")
        x = self._conv(self._swish(self._norm(x, "norm")), 3, "leave", scale=0.0)
        return keras.Model([image, t], x)

    @staticmethod
    def _initial(scale: float) -> Any:
        import keras

        return keras.initializers.VarianceScaling(max(scale, 1e-10), mode="fan_avg", distribution="uniform")

    def _conv(self, x: Any, width: int, name: str, size: int = 3, scale: float = 1.0, strides: int = 1) -> Any:
        layer = self.layers.Conv2D(
            width, size, strides=strides, padding="same", kernel_initializer=self._initial(scale), name=name
        )
        return layer(x)

    def _dense(self, x: Any, width: int, name: str, scale: float = 1.0) -> Any:
        return self.layers.Dense(width, kernel_initializer=self._initial(scale), name=name)(x)

    def _norm(self, x: Any, name: str) -> Any:
        return self.layers.GroupNormalization(groups=8, name=name)(x)

    def _swish(self, x: Any) -> Any:
        import keras

        return keras.activations.swish(x)

    def _embed(self, t: Any, width: int) -> Any:
        half = width // 2
        rates = np.exp(np.arange(half, dtype=np.float32) * -(np.log(10000) / (half - 1))).astype(np.float32)
        angles = self.ops.cast(t, "float32")[:, None] * rates[None]
        waves = self.ops.concatenate([self.ops.sin(angles), self.ops.cos(angles)], -1)
        hidden = self._swish(self._dense(waves, width, "embedding__inner"))
        return self._dense(hidden, width, "embedding__outer")

    def _stage(self, x: Any, width: int, name: str, level: int) -> Any:
        x = self._block(x, width, f"{name}__block")
        return self._attend(x, width, f"{name}__attention") if level in self.attention else x

    def _block(self, x: Any, width: int, name: str) -> Any:
        skip = x if x.shape[-1] == width else self._conv(x, width, f"{name}__skip", size=1)
        temb = self._dense(self._swish(self.temb), width, f"{name}__embed")[:, None, None, :]
        x = self._conv(self._swish(self._norm(x, f"{name}__norm1")), width, f"{name}__conv1") + temb
        x = self._conv(self._swish(self._norm(x, f"{name}__norm2")), width, f"{name}__conv2", scale=0.0)
        return x + skip

    def _attend(self, x: Any, width: int, name: str) -> Any:
        normal = self._norm(x, f"{name}__norm")
        q, k, v = (
            self.ops.reshape(self._dense(normal, width, f"{name}__{part}"), (-1, x.shape[1] * x.shape[2], width))
            for part in "qkv"
        )
        weights = self.ops.softmax(self.ops.einsum("bqc,bkc->bqk", q, k) * width**-0.5, -1)
        mixed = self.ops.reshape(self.ops.matmul(weights, v), (-1, x.shape[1], x.shape[2], width))
        return (normal if self.normalised_skip else x) + self._dense(mixed, width, f"{name}__project", scale=0.0)


class _Module(nn.Module):
    """Keras' model, called with maps of channels first; its parameters bear our layers' names."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model
        for layer in model.layers:
            for variable in layer.weights:
                self.register_parameter(f"{layer.name}__{variable.name}", variable.value)

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        out: Tensor = self.model([x.permute(0, 2, 3, 1), t], training=self.training)
        return out.permute(0, 3, 1, 2)


class _KerasAdam(torch.optim.Optimizer):
    """Keras' Adam for the parameters of a torch module, with its own epsilon or as torch has it."""

    def __init__(self, parameters: Any, lr: float, corrected: float | None = None) -> None:
        import keras

        super().__init__(parameters, {"lr": lr})
        self._adam = keras.optimizers.Adam(learning_rate=lr)
        self._corrected, self._steps = corrected, 0
        self._weights = [w for group in self.param_groups for w in group["params"]]
        self._variables = [keras.Variable(w.detach().clone()) for w in self._weights]

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:
        self._adam.learning_rate = self.param_groups[0]["lr"]
        self._steps += 1
        if self._corrected is not None:  # torch adds it to the corrected root
            self._adam.epsilon = self._corrected * (1 - 0.999**self._steps) ** 0.5
        self._adam.apply([w.grad for w in self._weights], self._variables)
        for w, variable in zip(self._weights, self._variables, strict=True):
            w.copy_(variable.value)


class Flowers(Recipe):
    """The example. Its attention is added to the normalised input; but for one comparison, to the input."""

    names: ClassVar[tuple[str, ...]] = ("flowers",)
    shape: ClassVar[Shape] = (3, 16, 16)
    narrow: ClassVar[Mapping[str, Any]] = {
        "backbone.channels": 16,
        "backbone.multipliers": [1, 2],
        "backbone.attention": [1],
        "backbone.time_channels": 64,
    }
    reasons: ClassVar[Mapping[str, str]] = {
        "preprocessing": "another filter, on bytes",
        "initial weights": "torch's defaults, not variance scaling",
        "loss, attention added to the normalised input": "a defect of the original",
        "3 optimizer steps": "Adam's epsilon is added to another root",
        "steps of biases / learning rate": "Adam's epsilon is added to another root",
    }

    def network(self, *, narrow: bool = False, normalised_skip: bool = False) -> nn.Module:
        return random_zeros(self._network(narrow, normalised_skip))

    def initial_weights(self) -> dict[str, Tensor]:
        from keras.src.initializers import random_initializers

        def bound(shape: Any, minval: float, maxval: float, **_: Any) -> Tensor:
            return torch.full(tuple(shape), maxval)

        with patch.object(random_initializers.random, "uniform", bound):
            return self.our_weights(self.state(self._network(narrow=True)))

    def _network(self, narrow: bool, normalised_skip: bool = False) -> nn.Module:
        import keras

        keras.utils.clear_session()
        sizes: Any = (16, (1, 2), (1,)) if narrow else (64, (1, 2, 4, 8), (2, 3))
        return _Module(_Network(*sizes, normalised_skip).build(self.shape))

    def state(self, network: nn.Module) -> dict[str, Tensor]:
        return {name: p.detach() for name, p in network.named_parameters() if "__" in name}

    def gradients(self, network: nn.Module) -> dict[str, Tensor]:
        return {name: p.grad for name, p in network.named_parameters() if "__" in name and p.grad is not None}

    def our_weights(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        renamed = {}
        for name, x in state.items():
            *path, kind = name.split("__")
            inner = ".".join(path)
            if kind == "kernel":
                x = x.permute(3, 2, 0, 1) if x.ndim == 4 else x.T
                if ".attention." in inner or inner.startswith("middle_attention"):
                    x = x[..., None, None]
            renamed[f"{inner}.{'bias' if kind in ('bias', 'beta') else 'weight'}"] = x
        return merge_qkv(renamed)

    def loss(self, network: nn.Module, x0: Tensor, t: Tensor, eps: Tensor, label: Tensor | None) -> Tensor:
        import keras

        a = torch.tensor(np.cumprod(1 - np.linspace(1e-4, 0.02, 1000)))[t].view(-1, 1, 1, 1)
        x_t = a.sqrt().float() * x0 + (1 - a).sqrt().float() * eps
        loss: Tensor = keras.losses.MeanSquaredError()(eps, network(x_t, t))
        return loss

    def optimizer(self, network: nn.Module) -> torch.optim.Optimizer:
        return _KerasAdam(network.parameters(), 2e-4)

    def with_our_epsilon(self, network: nn.Module) -> dict[str, torch.optim.Optimizer]:
        return {", epsilon as ours": _KerasAdam(network.parameters(), 2e-4, 1e-7)}

    def ema(self, network: nn.Module) -> Any:
        return PlainEMA(network, 0.999)

    def gradient(self) -> Iterator[Comparison]:
        yield from super().gradient()
        torch.manual_seed(0)
        as_original = self.network(narrow=True, normalised_skip=True)
        ours = self._ours(self._narrow_experiment(), as_original).step(*self.batch(0))
        with torch.no_grad():
            theirs = self.loss(as_original, *self.batch(0))
        yield self._compare("loss, attention added to the normalised input", ours, theirs)

    def sample(self, network: nn.Module, start: Tensor, noises: list[Tensor]) -> list[Tensor]:
        return sample_ancestrally(network, start, noises, large=False)

    def preprocessing(self) -> Iterator[Comparison]:
        waves = np.add.outer(np.arange(160), np.arange(220))[..., None] * np.array([0.05, 0.08, 0.13])
        pixels = ((np.sin(waves) + 1) * 127.5).astype(np.uint8)
        ours = preprocess(self.experiment, Image.fromarray(pixels))
        square = torch.tensor(pixels[:, 30:190]).permute(2, 0, 1).float()[None]
        theirs = F.interpolate(square, (64, 64), mode="bilinear", antialias=True)[0] / 127.5 - 1
        yield self._compare("preprocessing", ours, theirs)
        bicubic = Image.fromarray(pixels[:, 30:190]).resize((64, 64), Image.Resampling.BICUBIC)
        expected = torch.tensor(np.asarray(bicubic)).permute(2, 0, 1).float() / 127.5 - 1
        yield self._compare("preprocessing, Pillow's bicubic filter", ours, expected)
