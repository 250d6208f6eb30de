"""The comparisons that all trained recipes share, and what an original has to provide for them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from copy import deepcopy
from typing import Any, ClassVar, cast

import torch
from torch import Tensor, nn

from noisette import Experiment, Shape
from noisette.training.optimizer import learning_rate
from proofs.comparison import Comparison, compare
from proofs.initial import fill_with_bounds
from proofs.ours import MNIST_IMAGES, Training, sample, seed_dropout
from proofs.settings import load_recipe

__all__ = ["STAGES", "Recipe", "copy_weights", "merge_qkv", "random_zeros"]

_Batch = tuple[Tensor, Tensor, Tensor, Tensor | None]

STAGES = ("preprocessing", "gradient", "training", "sampling")
"""Parts of a comparison, each a method of `Recipe`."""

_BATCH = 2
_LARGE = 30
"""Factor of the noise that makes gradients too large for any clipping to be missed."""
_RATES = 500
"""Steps whose learning rates are compared."""


class Recipe(ABC):
    """A recipe and its original.

    Class attributes:
        names: recipes that have this original.
        shape: of the images that are compared; all networks are convolutional.
        narrow: changes of the config that make the network small, for many steps and for a whole trajectory.
        short: changes of the config that make a trajectory short, for what is planted.
        reasons: why a quantity differs, by its name.
        steps: optimizer steps of the training stage.
        late: steps by which the original's learning rate is later, where that is listed.

    Args:
        name: which of `names`.
        changes: changes of the config, as `--set` makes them.
        narrow: whether the network is always small.
    """

    names: ClassVar[tuple[str, ...]]
    shape: ClassVar[Shape]
    narrow: ClassVar[Mapping[str, Any]] = {}
    short: ClassVar[Mapping[str, Any]] = {}
    reasons: ClassVar[Mapping[str, str]] = {}
    steps: ClassVar[int] = 3
    late: ClassVar[int] = 0

    def __init__(self, name: str, changes: Mapping[str, Any], *, narrow: bool = False) -> None:
        self.name, self.changes, self.always_narrow = name, changes, narrow
        self.experiment = cast(Experiment, load_recipe(name, dict(changes)))

    @abstractmethod
    def network(self, *, narrow: bool = False) -> nn.Module:
        """Return the original's network with its own initial weights."""

    @abstractmethod
    def our_weights(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return tensors of the original's parameters under our names."""

    @abstractmethod
    def loss(self, network: nn.Module, x0: Tensor, t: Tensor, eps: Tensor, label: Tensor | None) -> Tensor:
        """Return the original's loss of a batch of images in its own range, a scalar."""

    @abstractmethod
    def optimizer(self, network: nn.Module) -> torch.optim.Optimizer:
        """Return the original's optimizer."""

    @abstractmethod
    def sample(self, network: nn.Module, start: Tensor, noises: list[Tensor]) -> list[Tensor]:
        """Return states of the original's sampling, of which the last is the image in the original's range."""

    @abstractmethod
    def preprocessing(self) -> Iterator[Comparison]:
        """Yield what comes of an image."""

    def ema(self, network: nn.Module) -> Any:
        """Return the original's averaged weights: `update(network)`, and `module`; None without."""
        return None

    def clip(self, network: nn.Module) -> None:  # noqa: B027
        """Clip the gradients as the original does; by default it does not."""

    def with_our_epsilon(self, network: nn.Module) -> dict[str, torch.optim.Optimizer]:
        """Return the original's optimizer with our epsilon, by a name for it, where that is a listed difference."""
        return {}

    def rate(self, step: int) -> float:
        """Return the original's learning rate at a step from 0, as a factor of its constant."""
        return 1.0

    def compare(self, *stages: str) -> Iterator[Comparison]:
        """Yield the comparisons of some stages, by default of all."""
        for stage in stages or STAGES:
            yield from getattr(self, stage)()

    def _ours(self, experiment: Experiment, network: nn.Module) -> Training:
        """Return our training, with the weights of the original's network."""
        return Training(experiment, self.shape, self.our_weights(self.state(network)))

    def state(self, network: nn.Module) -> dict[str, Tensor]:
        """Return the parameters and buffers of the original's network by its names."""
        return dict(network.state_dict())

    def initial_weights(self) -> dict[str, Tensor]:
        """Return the initial weights of a narrow network of the original under our names."""
        return self.our_weights(self.state(self.network(narrow=True)))

    def gradients(self, network: nn.Module) -> dict[str, Tensor]:
        """Return the gradients of the original's network by its names."""
        return {name: p.grad for name, p in network.named_parameters() if p.grad is not None}

    def _compare(
        self, quantity: str, ours: Tensor | Mapping[str, Tensor], theirs: Tensor | Mapping[str, Tensor]
    ) -> Comparison:
        return compare(quantity, ours, theirs, self.reasons.get(quantity, ""))

    def _narrow_experiment(self, changes: Mapping[str, Any] | None = None) -> Experiment:
        changes = {**self.narrow, **self.changes, **(changes or {})}
        return cast(Experiment, load_recipe(self.name, changes))

    def gradient(self) -> Iterator[Comparison]:
        """Yield the initial weights' distributions, and loss and gradient of the whole network."""
        narrow = self._narrow_experiment()
        with fill_with_bounds():
            theirs, ours = self.initial_weights(), Training(narrow, self.shape).weights()
        yield self._compare("initial weights", ours, {name: theirs[name] for name in ours})
        torch.manual_seed(0)
        network = self.network(narrow=self.always_narrow).train()
        training = self._ours(narrow if self.always_narrow else self.experiment, network)
        yield from self._one_step(training, network, self.batch(0), "loss", "gradient")

    def _one_step(
        self,
        training: Training,
        network: nn.Module,
        batch: _Batch,
        *names: str,
    ) -> Iterator[Comparison]:
        """Yield the loss, and the clipped gradient, under two names."""
        our_loss = training.step(*batch)
        seed_dropout(self.experiment, 0)
        loss = self.loss(network, *batch)
        loss.backward()  # type: ignore[no-untyped-call]
        self.clip(network)
        yield self._compare(names[0], our_loss, loss.detach())
        yield self._compare(names[1], training.gradients(), self.our_weights(self.gradients(network)))

    def training(self) -> Iterator[Comparison]:
        """Yield what comes of several steps of a narrow network: learning rates, clipping, optimizer and EMA.

        The original's optimizer takes the steps with our gradients: Adam divides rounding errors by themselves.
        Biases begin at 0, where a step has all its digits.
        """
        options = self.experiment.training
        checked = sorted({*range(5), *range(0, options.steps, max(1, options.steps // _RATES))})
        constant = self.optimizer(nn.Linear(1, 1)).param_groups[0]["lr"]
        ours = torch.tensor([learning_rate(options, step, MNIST_IMAGES) / constant for step in checked])
        yield self._compare("learning rates", ours, torch.tensor([self.rate(step) for step in checked]))
        torch.manual_seed(0)
        network = self.network(narrow=True).train()
        x0, t, eps, label = self.batch(0)
        yield from self._one_step(
            self._ours(self._narrow_experiment(), network),
            network,
            (x0, t, eps * _LARGE, label),
            "loss of large noise",
            "gradient of large noise",
        )
        yield from self._many_steps(self._without_biases(network), constant)

    def _without_biases(self, network: nn.Module) -> Training:
        weights = self.our_weights(self.state(network))
        biases = {name for name in weights if name.endswith("bias")}
        weights = {name: x * 0 if name in biases else x for name, x in weights.items()}
        return Training(self._narrow_experiment(), self.shape, weights)

    def _many_steps(self, training: Training, constant: float) -> Iterator[Comparison]:
        twins = {name: deepcopy(training.network) for name in ("", *self.with_our_epsilon(training.network))}
        optimizers = {
            name: self.with_our_epsilon(twin)[name] if name else self.optimizer(twin)
            for name, twin in twins.items()
        }
        twin = list(twins.values())[-1]
        ema = self.ema(twin)
        for step in range(self.steps):
            training.step(*self.batch(step))
            for name, optimizer in optimizers.items():
                for parameter, gradient in training.gradients().items():
                    twins[name].get_parameter(parameter).grad = gradient
                for group in optimizer.param_groups:
                    group["lr"] = constant * self.rate(step + self.late)
                optimizer.step()
            if ema is not None:
                ema.update(twin)
        for name, network in twins.items():
            theirs = {parameter: p.detach() for parameter, p in network.named_parameters()}
            yield self._compare(f"{self.steps} optimizer steps{name}", training.weights(), theirs)
            quantity = f"steps of biases / learning rate{name}"
            yield self._compare(quantity, _biases(training.weights(), constant), _biases(theirs, constant))
        yield from self._averages(training.state.ema, ema, constant)

    def _averages(self, ours: Any, theirs: Any, constant: float) -> Iterator[Comparison]:
        quantity = "EMA of biases / learning rate"
        if (ours is None) != (theirs is None):
            yield Comparison(quantity, float("inf"), self.reasons.get(quantity, ""))
        elif ours is not None:
            averaged = {name: p.detach() for name, p in theirs.module.named_parameters()}
            yield self._compare(quantity, _biases(ours.state(), constant), _biases(averaged, constant))

    def sampling(self) -> Iterator[Comparison]:
        """Yield what comes of a whole trajectory."""
        ours, theirs = self.trajectories()
        reason = self.reasons.get("trajectory", "")
        yield compare(f"trajectory of {len(ours)} steps", ours[-1], theirs[-1], reason)

    def trajectories(self, changes: Mapping[str, Any] | None = None) -> tuple[list[Tensor], list[Tensor]]:
        """Return the states of both samplings, from the same noise, with further changes of the config."""
        short = self.short if self.always_narrow else {}
        experiment = self._narrow_experiment({**short, **self.changes, **(changes or {})})
        torch.manual_seed(1)
        network = self.network(narrow=True).eval()
        sampler = experiment.sampling.samplers[-1]
        start = torch.randn(_BATCH, *self.shape)
        steps = sampler.steps if isinstance(sampler.spacing, str) else len(sampler.spacing)
        noises = [torch.randn_like(start) for _ in range(steps)]
        weights = self.our_weights(self.state(network))
        labels = torch.arange(_BATCH) if experiment.training.class_conditional else None
        ours = sample(experiment, sampler, weights, start, noises, labels)
        with torch.inference_mode():
            return ours, self.sample(network, start, noises)

    def batch(self, step: int) -> _Batch:
        """Return images in [-1, 1], timesteps, noise and labels of a step."""
        generator = torch.Generator().manual_seed(step)
        x0 = torch.rand(_BATCH, *self.shape, generator=generator) * 2 - 1
        t = torch.randint(self.experiment.timesteps, (_BATCH,), generator=generator)
        label = torch.tensor([3, 10]) if self.experiment.training.class_conditional else None
        return x0, t, torch.randn(x0.shape, generator=generator), label


def _biases(weights: Mapping[str, Tensor], unit: float) -> dict[str, Tensor]:
    return {name: x / unit for name, x in weights.items() if name.endswith("bias")}


def copy_weights(source: Mapping[str, Tensor], renames: Mapping[str, str]) -> dict[str, Tensor]:
    """Return tensors under other names: the parts of a name are replaced one after another."""
    renamed = {}
    for name, tensor in source.items():
        for theirs, ours in renames.items():
            name = name.replace(theirs, ours)
        renamed[name] = tensor
    return renamed


def merge_qkv(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return weights with `q`, `k` and `v` of each attention as one layer, `qkv`."""
    merged = {name: x for name, x in state.items() if name.split(".")[-2] not in ("q", "k", "v")}
    for name, q in state.items():
        path, layer, kind = name.rsplit(".", 2) if name.count(".") > 1 else ("", "", "")
        if layer == "q":
            parts = [q, state[f"{path}.k.{kind}"], state[f"{path}.v.{kind}"]]
            merged[f"{path}.qkv.{kind}"] = torch.cat(parts)
    return merged


def random_zeros(network: nn.Module) -> nn.Module:
    """Draw the weights that begin near 0, which would hide the layers before them; return the network."""
    with torch.no_grad():
        for p in network.parameters():
            if p.abs().max() < 1e-3:
                p.uniform_(-0.05, 0.05)
    return network
