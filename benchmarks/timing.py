"""Timing of arms, interleaved step by step, so that other load affects all of them.

The 20th percentile is the time of an undisturbed arm, the median that of this run. A ratio's spread is from 2.5 %
to 97.5 % of 1,000 bootstrap resamples of the rounds, kept together across arms.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch

__all__ = ["compare_times", "summary", "time_interleaved"]

Arm = Callable[[], object]


def time_interleaved(arms: Mapping[str, Arm], rounds: int, warmup: int = 2) -> dict[str, list[float]]:
    """Return the seconds of each arm in each round after the warm-up; the order turns by one arm a round."""
    seconds: dict[str, list[float]] = {name: [] for name in arms}
    names = list(arms)
    for at in range(-warmup, rounds):
        turn = at % len(names)
        for name in names[turn:] + names[:turn]:
            _wait()
            start = time.perf_counter()
            arms[name]()
            _wait()
            if at >= 0:
                seconds[name].append(time.perf_counter() - start)
    return seconds


def summary(seconds: list[float]) -> dict[str, float]:
    """Return median, 20th percentile and minimum in milliseconds, and the number of rounds."""
    values = np.array(seconds) * 1e3
    return {
        "p20_ms": float(np.percentile(values, 20)),
        "median_ms": float(np.median(values)),
        "min_ms": float(values.min()),
        "rounds": len(seconds),
    }


def compare_times(seconds: Mapping[str, list[float]], own: str) -> dict[str, dict[str, Any]]:
    """Return how many times as long as arm `own` every other takes."""
    return {name: _ratio(taken, seconds[own]) for name, taken in seconds.items() if name != own}


def _ratio(theirs: list[float], own: list[float]) -> dict[str, Any]:
    pairs = np.array([theirs, own])
    picks = np.random.default_rng(0).integers(0, pairs.shape[1], (1000, pairs.shape[1]))
    low, high = np.percentile(_of(pairs[:, picks], 20), [2.5, 97.5])
    return {"p20": float(_of(pairs, 20)), "median": float(_of(pairs, 50)), "spread": [float(low), float(high)]}


def _of(pairs: np.ndarray, percentile: float) -> Any:
    theirs, own = np.percentile(pairs, percentile, axis=-1)
    return theirs / own


def _wait() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
