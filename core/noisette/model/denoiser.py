"""Which denoiser a sampler is given: the network, with guidance and bounds stacked round it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from noisette.diffusion.denoiser import Clipped, Denoiser
from noisette.diffusion.guidance import Guided, Thresholded
from noisette.errors import PluginError

if TYPE_CHECKING:
    from noisette.config import Sampling
    from noisette.contracts import Sampler
    from noisette.diffusion.process import Process
    from noisette.model.model import Model

__all__ = ["build_denoiser", "build_denoiser_for_labels", "count_network_calls", "labels_for"]


def build_denoiser(
    model: Model, sampler: Sampler, options: Sampling, indices: Sequence[int], low_res: Tensor | None = None
) -> Denoiser:
    """Return the denoiser for the images of the given numbers, with the classes that the options give them.

    Raises:
        DataError: if the network wants small images to enlarge, and there is no hint, or the other way round.
        PluginError: if the sampler is guided and the network knows no labels, or needs a variance that it did not
            learn.
    """
    return build_denoiser_for_labels(model, sampler, labels_for(model, options, indices), options.clip_x0, low_res)


def build_denoiser_for_labels(
    model: Model, sampler: Sampler, labels: Tensor | None, clip: float | None = 1.0, low_res: Tensor | None = None
) -> Denoiser:
    """Return the denoiser for images of the given classes, (N,) int64, or of none: guided first, bounded last.

    Raises:
        DataError, PluginError: as `build_denoiser`.
    """
    if sampler.needs_learned_variance and model.objective.outputs == 1:
        raise PluginError(
            f"sampler {sampler.label}: needs a network that learned the variance (objective.bound=hybrid or full)"
        )
    denoise: Denoiser = model.denoiser(None if labels is None else labels.to(model.machine.device), low_res)
    if sampler.is_guided:
        if labels is None:
            raise PluginError(
                f"sampler {sampler.label}: guidance needs a network that was trained with labels "
                "(training.class_conditional=true) and sampling.labels=balanced"
            )
        denoise = Guided(
            denoise, model.denoiser(low_res=low_res), sampler.guidance_scale, sampler.guidance_interval
        )
    if sampler.dynamic_threshold is not None:
        return Thresholded(denoise, sampler.dynamic_threshold)
    return denoise if clip is None else Clipped(denoise, clip)


def labels_for(model: Model, options: Sampling, indices: Sequence[int]) -> Tensor | None:
    """Return the classes of the images of the given numbers, (N,) int64, or None; image i has class i mod K."""
    if not model.classes or options.labels == "none":
        return None
    return torch.tensor([index % len(model.classes) for index in indices])


def count_network_calls(sampler: Sampler, process: Process) -> int:
    """Return how often the network is called in a walk over a process: guided steps call it twice.

    For a sampler that calls its denoiser several times a step, all calls of a step count as guided or not.
    """
    steps = process.timesteps(sampler.steps, sampler.spacing)
    steps_taken = len(steps) - 1
    calls = sampler.network_calls(steps_taken, from_noise=process(steps[0])[0] == 0)
    if not sampler.is_guided:
        return calls
    if sampler.guidance_interval is None:
        return 2 * calls
    first, last = sampler.guidance_interval
    return calls + round(calls * sum(last <= t <= first for t in steps[:-1]) / steps_taken)
