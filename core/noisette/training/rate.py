"""The learning rate as a function of the step."""

from __future__ import annotations

from math import cos, pi

from noisette.config import Training

__all__ = ["learning_rate"]


def learning_rate(options: Training, step: int) -> float:
    """Return the rate of step `step`, counted from 0: a linear warm-up, then the decay to 0 at the last step."""
    if step < options.warmup:
        return options.lr * (step + 1) / options.warmup
    done = (step - options.warmup) / max(options.steps - options.warmup, 1)
    factor = {"constant": 1.0, "linear": 1 - done, "cosine": (1 + cos(pi * done)) / 2}[options.decay]
    return options.lr * factor
