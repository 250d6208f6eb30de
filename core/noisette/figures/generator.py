"""A trained model with a sampler: what editing, interpolation and recorded trajectories share."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic_core import PydanticCustomError
from torch import Tensor

from noisette.checkpoint import Checkpoint
from noisette.config import Experiment
from noisette.config.consistency import cap_steps
from noisette.config.reference import make_plugin
from noisette.contracts import Sampler
from noisette.diffusion.denoiser import Denoiser
from noisette.errors import ConfigError, DataError, PluginError
from noisette.machine import Machine, use_threads
from noisette.model.model import Model, build_denoiser
from noisette.pixels import to_bytes, to_unit
from noisette.sampling.loop import generate

__all__ = ["ImageGenerator"]


@dataclass(frozen=True)
class ImageGenerator:
    """A trained model with the sampler and the options that it generates images with.

    Attributes:
        model: network, objective and process.
        sampler: leads from noise to images.
        clip: bound of the predicted x0; None never clips.
        seed: seed of all noise.
        threads: number of CPU threads; None leaves torch's setting.
    """

    model: Model
    sampler: Sampler
    clip: float | None = 1.0
    seed: int = 0
    threads: int | None = None

    @classmethod
    def open(
        cls,
        checkpoint: Checkpoint,
        sampler: Sampler | str | dict[str, Any] = "ddim",
        *,
        seed: int | None = None,
        experiment: Experiment | None = None,
    ) -> ImageGenerator:
        """Load a checkpoint's network, with the weights, bound, seed and precision of an experiment.

        Args:
            checkpoint: the trained network, see `noisette.find_checkpoint`.
            sampler: a sampler, or its name and options as in a config. A default number of steps that exceeds the
                trained timesteps is reduced to them.
            seed: seed of all noise; None takes the experiment's.
            experiment: its `sampling`, `seed`, `threads` and `training.precision` are used; None takes the
                checkpoint's experiment.

        Raises:
            CheckpointError: if a plugin of the checkpoint is not installed.
            ConfigError: if there is no such sampler or option.
            PluginError: if the sampler takes more steps than were trained.
        """
        options = checkpoint.about["experiment"] if experiment is None else experiment.options()
        chosen, sampling = _make_sampler(sampler), options["sampling"]
        machine = Machine.detect(options["training"]["precision"])
        model = Model.load(checkpoint, ema=sampling["ema"], machine=machine)
        seed = options["seed"] if seed is None else seed
        return cls(model, chosen, sampling["clip_x0"], seed, options["threads"]).with_sampler(chosen)

    def with_sampler(self, sampler: Sampler | str | dict[str, Any], *, seed: int | None = None) -> ImageGenerator:
        """Return a generator of the same network with another sampler, and another seed if one is given.

        Raises:
            ConfigError, PluginError: as `open`.
        """
        chosen = cap_steps(_make_sampler(sampler), len(self.model.process))
        try:
            self.model.process.timesteps(chosen.steps, chosen.spacing)
        except ValueError as error:
            raise PluginError(f"sampler {chosen.label}: {error}") from None
        return replace(self, sampler=chosen, seed=self.seed if seed is None else seed)

    def with_guidance(self, scale: float) -> ImageGenerator:
        """Return the same generator with another scale of classifier-free guidance (Ho & Salimans 2022)."""
        return replace(self, sampler=self.sampler.model_copy(update={"guidance_scale": scale}))

    def denoiser(self, labels: Tensor | None = None, low_res: Tensor | None = None) -> Denoiser:
        """Return the denoiser that the sampler calls, guided and clipped.

        Args:
            labels: classes of the images, (N,) int64; None for unconditional images.
            low_res: for a super-resolution model, low-resolution images enlarged to full size, (N, C, H, W).

        Raises:
            PluginError: if the sampler is guided and there are no labels.
        """
        return build_denoiser(self.model, self.sampler, labels, self.clip, low_res)

    def balanced_labels(self, indices: Sequence[int]) -> Tensor | None:
        """Return class i mod K for image i, (N,) int64, or None for an unconditional network."""
        count = len(self.model.classes)
        return torch.tensor([index % count for index in indices]) if count else None

    def labels(self, classes: Sequence[str]) -> Tensor:
        """Return the labels of class names, (N,) int64.

        Raises:
            DataError: if the network is unconditional, or knows no such class.
        """
        known = self.model.classes
        if not known:
            raise DataError(
                "class: expected none, as the network was trained without labels (training.class_conditional=false)"
            )
        unknown = [name for name in classes if name not in known]
        if unknown:
            raise DataError(f"class: expected one of {', '.join(known)}; got {unknown[0]!r}")
        return torch.tensor([known.index(name) for name in classes])

    def class_labels(self, name: str | None, count: int) -> Tensor | None:
        """Return the label of one class for `count` images, or None without a class; raises as `labels`."""
        return None if name is None else self.labels([name] * count)

    def generate(self, indices: Sequence[int], classes: Sequence[str] | None = None) -> NDArray[np.uint8]:
        """Generate images, uint8 (N, C, H, W), the same as those of `sample` with these indices.

        Args:
            indices: indices of the images, which decide their noise.
            classes: class name of each image; None takes class i mod K for image i.

        Raises:
            DataError: if the network is unconditional, or knows no such class.
        """
        device = self.model.machine.device
        labels = self.balanced_labels(indices) if classes is None else self.labels(classes)
        with self.limit_threads():
            generated = generate(self.denoiser(labels), self.sampler, self.model.shape, indices, self.seed, device)
        return to_bytes(generated).cpu().numpy()

    def limit_threads(self) -> AbstractContextManager[None]:
        """Return a context that sets the number of CPU threads."""
        return use_threads(self.threads)

    def to_unit(self, images: NDArray[np.uint8]) -> Tensor:
        """Map uint8 images (..., C, H, W) to [-1, 1], float32, on the model's device.

        Raises:
            DataError: if they do not have the model's shape.
        """
        if images.shape[-3:] != self.model.shape:
            raise DataError(f"expected images of shape {self.model.shape}; got {images.shape[-3:]}")
        return to_unit(torch.from_numpy(np.array(images))).to(self.model.machine.device)


def _make_sampler(sampler: Sampler | str | dict[str, Any]) -> Sampler:
    try:
        return cast(Sampler, make_plugin("sampler", sampler))
    except PydanticCustomError as error:
        raise ConfigError("sampler", (error.context or {})["problems"]) from None
