"""The optimizers, without importing torch's compiler, and their learning rate."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from inspect import unwrap
from math import cos, pi
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer

from noisette.config import Training
from noisette.errors import DataError

__all__ = ["count_epoch_steps", "epoch_of", "learning_rate", "make_optimizer"]


def make_optimizer(options: Training, parameters: Iterable[nn.Parameter]) -> Optimizer:
    """Return the optimizer of the options; Muon is for matrices, and all other parameters get AdamW.

    Raises:
        DataError: if this version of torch does not have it.
    """
    weights, kind = list(parameters), options.optimizer
    common: dict[str, Any] = {"lr": options.lr, "weight_decay": options.weight_decay}
    momentum = {} if options.momentum is None else {"momentum": options.momentum}
    adam = common | {"betas": options.adam_betas, "eps": options.adam_eps}
    if kind == "sgd":
        return _class("SGD")(weights, fused=True, **common, **momentum)
    if kind == "adafactor":
        return _class("Adafactor")(weights, **common)
    if kind in ("radam", "nadam"):
        return _class({"radam": "RAdam", "nadam": "NAdam"}[kind])(weights, **adam)
    if kind == "adam":
        return _class("Adam")(weights, fused=True, **adam)
    if kind == "adamw":
        return _class("AdamW")(weights, fused=True, **adam)
    matrices, others = ([weight for weight in weights if (weight.ndim == 2) is flat] for flat in (True, False))
    muon, adamw = _class("Muon"), _class("AdamW")
    return _Parts(
        [
            *([muon(matrices, adjust_lr_fn="match_rms_adamw", **common, **momentum)] if matrices else []),
            *([adamw(others, fused=True, **adam)] if others else []),
        ]
    )


def _without_compiler(kind: type[Optimizer]) -> type[Optimizer]:
    """Return an optimizer without the decorators that import torch's compiler."""
    names = ("add_param_group", "state_dict", "load_state_dict", "zero_grad")
    methods: dict[str, Any] = {name: unwrap(getattr(Optimizer, name)) for name in names}
    step: Callable[..., Any] = torch.no_grad()(unwrap(kind.step))
    return type(kind.__name__, (kind,), {**methods, "step": step})


def _class(name: str) -> Callable[..., Optimizer]:
    kind = getattr(torch.optim, name, None)
    if kind is None:
        raise DataError(f"training.optimizer: torch {torch.__version__} has no {name}: use a newer one, or adamw")
    return _without_compiler(kind)


class _Parts(_without_compiler(Optimizer)):  # type: ignore[misc]
    """Several optimizers, each for some of the weights, as one."""

    def __init__(self, parts: Sequence[Optimizer]) -> None:
        groups = [group for part in parts for group in part.param_groups]
        super().__init__([weight for group in groups for weight in group["params"]], {})
        self.parts, self.param_groups = parts, groups
        for part in parts:
            part.state = self.state

    def step(self, closure: None = None) -> None:
        """Take a step of each optimizer."""
        for part in self.parts:
            part.step()


def epoch_of(options: Training, step: int, images: int) -> int:
    """Return the epoch, from 0, in which a step, counted from 0, starts.

    Args:
        options: the training options.
        step: the step.
        images: number of training images.
    """
    if options.drop_last is None:
        return step * options.batch_size // images
    return step // count_epoch_steps(options, images)


def count_epoch_steps(options: Training, images: int) -> int:
    """Return the steps of an epoch without (`drop_last`) or with a smaller last batch."""
    return images // options.batch_size if options.drop_last else -(-images // options.batch_size)


def learning_rate(options: Training, step: int, images: int = 1) -> float:
    """Return the learning rate of a step, counted from 0: a linear warm-up, then a decay.

    Args:
        options: the training options.
        step: the step.
        images: number of training images, whose epochs `linear-by-epoch` counts.
    """
    if step < options.lr_warmup_steps:
        return options.lr * (step + 1) / options.lr_warmup_steps
    if options.lr_schedule == "linear-by-epoch":
        epochs = epoch_of(options, options.steps - 1, images) + 1
        return options.lr * (1 - epoch_of(options, step, images) / epochs)
    done = (step - options.lr_warmup_steps) / max(options.steps - options.lr_warmup_steps, 1)
    factor = {"constant": 1.0, "linear": 1 - done, "cosine": (1 + cos(pi * done)) / 2}[options.lr_schedule]
    return options.lr * factor
