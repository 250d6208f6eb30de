"""The optimizer, without importing torch's compiler, and its learning rate."""

from __future__ import annotations

from inspect import unwrap
from math import cos, pi

import torch

from noisette.config import Training

__all__ = ["AdamW", "learning_rate"]


class AdamW(torch.optim.AdamW):
    """`torch.optim.AdamW` without the decorators that import torch's compiler."""

    add_param_group = unwrap(torch.optim.Optimizer.add_param_group)
    state_dict = unwrap(torch.optim.Optimizer.state_dict)
    load_state_dict = unwrap(torch.optim.Optimizer.load_state_dict)
    zero_grad = unwrap(torch.optim.Optimizer.zero_grad)
    step = torch.no_grad()(unwrap(torch.optim.AdamW.step))


def learning_rate(options: Training, step: int) -> float:
    """Return the learning rate of a step, counted from 0: a linear warm-up, then a decay to 0 at the last step."""
    if step < options.lr_warmup_steps:
        return options.lr * (step + 1) / options.lr_warmup_steps
    done = (step - options.lr_warmup_steps) / max(options.steps - options.lr_warmup_steps, 1)
    factor = {"constant": 1.0, "linear": 1 - done, "cosine": (1 + cos(pi * done)) / 2}[options.lr_schedule]
    return options.lr * factor
