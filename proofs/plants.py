"""Planted deviations: each must be found by a comparison, or in the table of settings."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from typing import Any
from unittest.mock import patch

import torch
from PIL import Image
from torch import Tensor

from noisette.diffusion.process import Process
from noisette_plugins.samplers.ddpm import DDPM
from proofs.comparison import TOLERANCE, Comparison
from proofs.recipe import Recipe
from proofs.settings import rows

__all__ = ["PLANTS", "Plant", "find", "unplanted"]


@dataclass(frozen=True)
class Plant:
    """A deviation of noisette's side.

    Attributes:
        name: what deviates.
        recipe: the recipe that it is planted in.
        stage: the stage of the comparison that is made, of `recipe.STAGES`; "" for the table of settings alone.
        changes: changes of the config.
        code: returns a context in which noisette's code is changed.
    """

    name: str
    recipe: str
    stage: str = ""
    changes: Mapping[str, Any] = field(default_factory=dict)
    code: Callable[[], AbstractContextManager[Any]] = nullcontext


def unplanted(kind: Callable[..., Recipe], plant: Plant) -> list[Comparison]:
    """Return the comparisons of a plant's stage without the plant."""
    return list(kind(plant.recipe, {}, narrow=True).compare(plant.stage)) if plant.stage else []


def find(kind: Callable[..., Recipe], plant: Plant, control: Sequence[Comparison]) -> list[str]:
    """Return what finds a plant: comparisons that are no longer as in `control`, and settings."""
    found = [f"setting {name!r}" for name in _settings(plant)]
    if not plant.stage:
        return found
    expected = {x.quantity: x.difference for x in control}
    with plant.code():
        try:
            comparisons = list(kind(plant.recipe, plant.changes, narrow=True).compare(plant.stage))
        except ValueError as error:  # names or shapes differ
            return [*found, str(error)]
    return [*(x.quantity for x in comparisons if _is_new(x, expected.get(x.quantity))), *found]


def _is_new(comparison: Comparison, expected: float | None) -> bool:
    """Whether a difference is none of the listed ones, or not of the listed size."""
    if comparison.verdict != "listed" or expected is None:
        return comparison.verdict in ("DIFFERENT", "STALE", "listed")
    return abs(comparison.difference - expected) > TOLERANCE + 0.01 * expected


def _settings(plant: Plant) -> Iterator[str]:
    shipped = {row.name: row.ours for row in rows(plant.recipe)}
    for row in rows(plant.recipe, dict(plant.changes)):
        if row.ours != shipped[row.name] and not row.is_equal:
            yield row.name


def _initialise_wider() -> AbstractContextManager[Any]:
    from noisette.training import state

    build = state.build_network

    def wider(*args: Any, **options: Any) -> Any:
        network = build(*args, **options)
        with torch.no_grad():
            for p in network.parameters():
                if p.ndim > 1:
                    p.mul_(1.1)
        return network

    return patch.object(state, "build_network", wider)


def _shift_timesteps() -> AbstractContextManager[Any]:
    add_noise = Process.add_noise

    def shifted(self: Process, x0: Tensor, eps: Tensor, t: Tensor) -> Tensor:
        return add_noise(self, x0, eps, (t + 1).clamp(max=len(self) - 1))

    return patch.object(Process, "add_noise", shifted)


def _add_noise_at_the_last_step() -> AbstractContextManager[Any]:
    trajectory = DDPM.trajectory

    def noisy(self: DDPM, denoise: Any, x: Tensor, noise: Any) -> Iterator[Tensor]:
        *states, last = trajectory(self, denoise, x, noise)
        yield from states
        yield last + 0.01 * noise()

    return patch.object(DDPM, "trajectory", noisy)


def _drop_while_sampling() -> AbstractContextManager[Any]:
    from noisette_plugins.backbones import scratch_network

    def attend(q: Tensor, k: Tensor, v: Tensor, *, dropout: float) -> Tensor:
        return torch.nn.functional.scaled_dot_product_attention(q, k, v, dropout_p=0.1)

    return patch.object(scratch_network, "attend", attend)


def _resample(filter: Image.Resampling) -> AbstractContextManager[Any]:
    resize = Image.Image.resize

    def with_filter(image: Image.Image, size: tuple[int, int], resample: Any = None, **options: Any) -> Image.Image:
        is_ours = "reducing_gap" in options  # the original does not reduce
        return resize(image, size, filter if is_ours else resample, **options)

    return patch.object(Image.Image, "resize", with_filter)


def _scale_pixels_wrongly() -> AbstractContextManager[Any]:
    return patch("proofs.ours.to_unit", lambda images: images.float() / 128 - 1)


PLANTS = (
    Plant("learning rate", "mnist-from-scratch", "training", {"training.lr": 3e-5}),
    Plant("learning rate schedule", "mnist-from-scratch", "training", {"training.lr_schedule": "cosine"}),
    Plant("learning rate warm-up", "cifar10", "training", {"training.lr_warmup_steps": 1000}),
    Plant("Adam betas", "mnist-from-scratch", "training", {"training.adam_betas": [0.9, 0.99]}),
    Plant("Adam epsilon", "mnist-from-scratch", "training", {"training.adam_eps": 1e-6}),
    Plant("learning rate by epoch", "mnist-conditional", "training", {"training.lr_schedule": "linear"}),
    Plant("clipping of the gradient", "mnist-from-scratch", "training", {"training.max_grad_norm": 1.0}),
    Plant("EMA decay", "mnist-from-scratch", "training", {"training.ema_decay": 0.999}),
    Plant("EMA warm-up", "mnist-from-scratch", "training", {"training.ema_warmup": "tensorflow"}),
    Plant("EMA cadence", "tutorial", "training", {"training.ema_update_every": 1}),
    Plant("initialisation", "mnist-from-scratch", "gradient", code=_initialise_wider),
    Plant("dropout", "mnist-from-scratch", "gradient", {"backbone.dropout": 0.2}),
    Plant("beta schedule", "mnist-from-scratch", "gradient", {"schedule.end": 0.021}),
    Plant("timestep off by one", "mnist-from-scratch", "gradient", code=_shift_timesteps),
    Plant("padding instead of resizing", "mnist-annotated", "preprocessing", {"preparation.fit": "pad"}),
    Plant("resize filter", "mnist-annotated", "preprocessing", code=partial(_resample, Image.Resampling.BILINEAR)),
    Plant("value range", "mnist-annotated", "preprocessing", code=_scale_pixels_wrongly),
    Plant("loss weight", "tutorial", "gradient", {"objective.weight": "none"}),
    Plant("loss", "flowers", "gradient", {"objective.loss": "l1"}),
    Plant("group norm epsilon", "flowers", "gradient", {"backbone.epsilon": 1e-5}),
    Plant("timestep spacing", "tutorial", "sampling", {"sampling.samplers.0.spacing": "leading"}),
    Plant("clipping of x0", "tutorial", "sampling", {"sampling.clip_x0": None}),
    Plant("guidance scale", "mnist-conditional", "sampling", {"sampling.samplers.2.guidance_scale": 2.5}),
    Plant("noise at the last step", "mnist-from-scratch", "sampling", code=_add_noise_at_the_last_step),
    Plant("dropout while sampling", "mnist-from-scratch", "sampling", code=_drop_while_sampling),
    Plant("steps of the pipeline", "text-to-image", "sampling", {"figures.0.steps": 49}),
    Plant("batch size", "tutorial", changes={"training.batch_size": 16}),
    Plant("last partial batch", "mnist-from-scratch", changes={"training.drop_last": False}),
    Plant("gradient accumulation", "bedrooms", changes={"training.microbatches": 1}),
    Plant("flip", "cifar10", changes={"training.random_flip": False}),
    Plant("label dropout", "mnist-conditional", changes={"training.class_dropout": 0.2}),
)
