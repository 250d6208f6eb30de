"""The comparisons that all trained recipes share, and what an original has to provide for them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from copy import deepcopy
from typing import Any, ClassVar, cast

import torch
from torch import Tensor, nn

from noisette import Experiment, Shape
from proofs.comparison import Comparison, compare
from proofs.ours import Training, sample, seed_dropout
from proofs.settings import load_recipe

__all__ = ["Recipe", "copy_weights"]

_BATCH = 2


class Recipe(ABC):
    """A recipe and its original.

    Class attributes:
        names: recipes that have this original.
        shape: of the images that the comparison of a step is made with; all networks are convolutional.
        narrow: changes of the config that make the network small enough for a whole trajectory.
        reasons: why a quantity differs, by its name.
        steps: optimizer steps after which averaged weights are compared.
    """

    names: ClassVar[tuple[str, ...]]
    shape: ClassVar[Shape]
    narrow: ClassVar[Mapping[str, Any]] = {}
    reasons: ClassVar[Mapping[str, str]] = {}
    steps: ClassVar[int] = 3

    def __init__(self, name: str, changes: Mapping[str, Any]) -> None:
        self.name, self.changes = name, changes
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

    def compare(self) -> Iterator[Comparison]:
        """Yield all comparisons."""
        yield from self.preprocessing()
        yield from self._training()
        yield from self.sampling()

    def _compare(
        self, quantity: str, ours: Tensor | Mapping[str, Tensor], theirs: Tensor | Mapping[str, Tensor]
    ) -> Comparison:
        return compare(quantity, ours, theirs, self.reasons.get(quantity, ""))

    def _training(self) -> Iterator[Comparison]:
        torch.manual_seed(0)
        network = self.network().train()
        training = Training(self.experiment, self.shape, self.our_weights(dict(network.state_dict())))
        optimizer, ema = self.optimizer(network), self.ema(network)
        twin = deepcopy(training.network)
        for step in range(self.steps):
            x0, t, eps, label = self.batch(step)
            our_loss = training.step(x0, t, eps, label)
            seed_dropout(self.experiment, step)
            optimizer.zero_grad()
            loss = self.loss(network, x0, t, eps, label)
            loss.backward()  # type: ignore[no-untyped-call]
            self.clip(network)
            gradients = {name: p.grad for name, p in network.named_parameters() if p.grad is not None}
            optimizer.step()
            if ema is not None:
                ema.update(network)
            if not step:
                yield self._compare("loss", our_loss, loss.detach())
                yield self._compare("gradient", training.gradients(), self.our_weights(gradients))
                yield self._compare("optimizer step", training.weights(), self._step(twin, training.gradients()))
        if ema is not None and training.state.ema is not None:
            yield self._compare("EMA", training.state.ema.state(), self._parameters(ema.module))

    def sampling(self) -> Iterator[Comparison]:
        """Yield what comes of a whole trajectory."""
        ours, theirs = self.trajectories()
        yield self._compare(f"trajectory of {len(ours)} steps", ours[-1], theirs[-1])

    def trajectories(self, changes: Mapping[str, Any] | None = None) -> tuple[list[Tensor], list[Tensor]]:
        """Return the states of both samplings, from the same noise, with further changes of the config."""
        changes = {**self.narrow, **self.changes, **(changes or {})}
        experiment = cast(Experiment, load_recipe(self.name, changes))
        torch.manual_seed(1)
        network = self.network(narrow=True).eval()
        sampler = experiment.sampling.samplers[-1]
        start = torch.randn(_BATCH, *self.shape)
        noises = [torch.randn_like(start) for _ in range(sampler.steps)]
        weights = self.our_weights(dict(network.state_dict()))
        labels = torch.arange(_BATCH) if experiment.training.class_conditional else None
        ours = sample(experiment, sampler, weights, start, noises, labels)
        with torch.inference_mode():
            return ours, self.sample(network, start, noises)

    def _step(self, network: nn.Module, gradients: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Take the original's step with our gradients: Adam divides rounding errors by themselves."""
        for name, parameter in network.named_parameters():
            parameter.grad = gradients[name]
        self.optimizer(network).step()
        return {name: p.detach() for name, p in network.named_parameters()}

    def batch(self, step: int) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:
        """Return images in [-1, 1], timesteps, noise and labels of a step."""
        generator = torch.Generator().manual_seed(step)
        x0 = torch.rand(_BATCH, *self.shape, generator=generator) * 2 - 1
        t = torch.randint(self.experiment.timesteps, (_BATCH,), generator=generator)
        label = torch.tensor([3, 10]) if self.experiment.training.class_conditional else None
        return x0, t, torch.randn(x0.shape, generator=generator), label

    def _parameters(self, network: nn.Module) -> dict[str, Tensor]:
        return self.our_weights({name: p.detach() for name, p in network.named_parameters()})


def copy_weights(source: Mapping[str, Tensor], renames: Mapping[str, str]) -> dict[str, Tensor]:
    """Return tensors under other names: the parts of a name are replaced one after another."""
    renamed = {}
    for name, tensor in source.items():
        for theirs, ours in renames.items():
            name = name.replace(theirs, ours)
        renamed[name] = tensor
    return renamed
