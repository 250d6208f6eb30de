"""A trained model that is ready to draw: what editing, mixing and showing the process have in common."""

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
from noisette.config.reference import make_plugin
from noisette.contracts import Sampler
from noisette.diffusion.denoiser import Denoiser
from noisette.errors import ConfigError, DataError, PluginError
from noisette.machine import Machine, use_threads
from noisette.model.denoiser import build_denoiser_for_labels
from noisette.model.model import Model
from noisette.pixels import to_bytes, to_unit
from noisette.sampling.loop import generate

__all__ = ["ImageGenerator"]


@dataclass(frozen=True)
class ImageGenerator:
    """A trained model and how it draws.

    Attributes:
        model: network, objective and tables.
        sampler: walks from noise to images.
        clip: bound of the predicted image; None never clips.
        seed: seed of all noise.
        threads: CPU threads; None takes torch's choice.
    """

    model: Model
    sampler: Sampler
    clip: float | None = 1.0
    seed: int = 0
    threads: int | None = None

    @classmethod
    def open(
        cls, checkpoint: Checkpoint, sampler: Sampler | str | dict[str, Any] = "ddim", *, seed: int | None = None
    ) -> ImageGenerator:
        """Load a checkpoint's averaged weights, with the bound and the seed of its experiment.

        Args:
            checkpoint: see `noisette.find_checkpoint`.
            sampler: a sampler, or what a config says for one; its default steps are at most the trained ones.
            seed: instead of the experiment's.

        Raises:
            CheckpointError: if a plugin that the checkpoint needs is missing.
            ConfigError: if there is no such sampler, or it has no such option.
            PluginError: if it wants more steps than were trained.
        """
        experiment = checkpoint.about["experiment"]
        chosen = _make_sampler(sampler)
        model = Model.load(checkpoint, machine=Machine.detect(experiment["training"]["precision"]))
        seed = experiment["seed"] if seed is None else seed
        return cls(model, chosen, experiment["sampling"]["clip_x0"], seed, experiment["threads"]).with_sampler(
            chosen
        )

    def with_sampler(self, sampler: Sampler | str | dict[str, Any], *, seed: int | None = None) -> ImageGenerator:
        """Return a painter with the same network that draws with another sampler, and may have another seed.

        Raises:
            ConfigError, PluginError: as `open`.
        """
        chosen = _limit_steps(_make_sampler(sampler), len(self.model.process))
        try:
            self.model.process.timesteps(chosen.steps, chosen.spacing)
        except ValueError as error:
            raise PluginError(f"sampler {chosen.label}: {error}") from None
        return replace(self, sampler=chosen, seed=self.seed if seed is None else seed)

    def with_guidance(self, scale: float) -> ImageGenerator:
        """Return a painter that is the same but for its guidance (Ho & Salimans 2022)."""
        return replace(self, sampler=self.sampler.model_copy(update={"guidance_scale": scale}))

    def denoiser(self, labels: Tensor | None = None, low_res: Tensor | None = None) -> Denoiser:
        """Return what the sampler calls, guided and bounded, for images of these classes, (N,) int64, or of none.

        A model that enlarges needs a `low_res`, small images at full size, (N, C, H, W).

        Raises:
            PluginError: if the sampler is guided and there are no classes.
        """
        return build_denoiser_for_labels(self.model, self.sampler, labels, self.clip, low_res)

    def balanced_labels(self, indices: Sequence[int]) -> Tensor | None:
        """Return class i mod K for image i, (N,) int64, or None where the network knows no classes."""
        count = len(self.model.classes)
        return torch.tensor([index % count for index in indices]) if count else None

    def labels(self, classes: Sequence[str]) -> Tensor:
        """Return the labels of classes by name, (N,) int64.

        Raises:
            DataError: if the network knows no classes, or not this one.
        """
        known = self.model.classes
        if not known:
            raise DataError(
                "this network knows no classes: it was trained without labels (training.class_conditional=false), "
                "and can only draw what it likes"
            )
        strange = [name for name in classes if name not in known]
        if strange:
            raise DataError(f"class {strange[0]!r}: the network knows {', '.join(known)}")
        return torch.tensor([known.index(name) for name in classes])

    def class_labels(self, name: str | None, count: int) -> Tensor | None:
        """Return the label of one class for `count` images, or None for no class; raises as `labels`."""
        return None if name is None else self.labels([name] * count)

    def generate(self, indices: Sequence[int], classes: Sequence[str] | None = None) -> NDArray[np.uint8]:
        """Draw the images of the given numbers, uint8 (N, C, H, W), each class in turn, as `sample` does.

        Args:
            indices: numbers of the images, which decide their noise.
            classes: the class of each, by name, instead.

        Raises:
            DataError: if the network knows no classes, or not one of these.
        """
        device = self.model.machine.device
        labels = self.balanced_labels(indices) if classes is None else self.labels(classes)
        with self.limit_threads():
            generated = generate(self.denoiser(labels), self.sampler, self.model.shape, indices, self.seed, device)
        return to_bytes(generated).cpu().numpy()

    def limit_threads(self) -> AbstractContextManager[None]:
        """Return the context in which the network computes: with the threads that the experiment says."""
        return use_threads(self.threads)

    def to_unit(self, images: NDArray[np.uint8]) -> Tensor:
        """Return images, uint8 (..., C, H, W), on the model's device within [-1, 1].

        Raises:
            DataError: if they are not of the model's shape.
        """
        if images.shape[-3:] != self.model.shape:
            raise DataError(f"expected images of shape {self.model.shape}; got {images.shape[-3:]}")
        return to_unit(torch.from_numpy(np.array(images))).to(self.model.machine.device)


def _make_sampler(sampler: Sampler | str | dict[str, Any]) -> Sampler:
    try:
        return cast(Sampler, make_plugin("sampler", sampler))
    except PydanticCustomError as error:
        raise ConfigError("sampler", (error.context or {})["problems"]) from None


def _limit_steps(sampler: Sampler, timesteps: int) -> Sampler:
    """Return a sampler whose default is longer than the process with all its steps; steps that are given stay."""
    if sampler.steps <= timesteps or "steps" in sampler.model_fields_set:
        return sampler
    return sampler.model_copy(update={"steps": timesteps})
