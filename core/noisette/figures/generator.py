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
from noisette.machine import Machine, threads
from noisette.model.denoiser import with_labels
from noisette.model.model import Model
from noisette.pixels import to_bytes, to_unit
from noisette.sampling.loop import draw

__all__ = ["Painter"]


@dataclass(frozen=True)
class Painter:
    """A trained model and how it draws.

    Attributes:
        model: network, objective and tables.
        sampler: walks from noise to pictures.
        clip: bound of the predicted picture; None never clips.
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
    ) -> Painter:
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
        chosen = _made(sampler)
        model = Model.load(checkpoint, machine=Machine.here(experiment["training"]["precision"]))
        seed = experiment["seed"] if seed is None else seed
        return cls(model, chosen, experiment["sampling"]["clip_x0"], seed, experiment["threads"]).with_sampler(
            chosen
        )

    def with_sampler(self, sampler: Sampler | str | dict[str, Any], *, seed: int | None = None) -> Painter:
        """Return a painter with the same network that draws with another sampler, and may have another seed.

        Raises:
            ConfigError, PluginError: as `open`.
        """
        chosen = _within(_made(sampler), len(self.model.tables))
        try:
            self.model.tables.timesteps(chosen.steps, chosen.spacing)
        except ValueError as error:
            raise PluginError(f"sampler {chosen.label}: {error}") from None
        return replace(self, sampler=chosen, seed=self.seed if seed is None else seed)

    def guided(self, strength: float) -> Painter:
        """Return a painter that is the same but for its guidance (Ho & Salimans 2022)."""
        return replace(self, sampler=self.sampler.model_copy(update={"guidance": strength}))

    def denoiser(self, labels: Tensor | None = None, hint: Tensor | None = None) -> Denoiser:
        """Return what the sampler calls, guided and bounded, for pictures of these classes, (N,) int64, or of none.

        A model that enlarges needs a `hint`, small pictures at full size, (N, C, H, W).

        Raises:
            PluginError: if the sampler is guided and there are no classes.
        """
        return with_labels(self.model, self.sampler, labels, self.clip, hint)

    def in_turn(self, indices: Sequence[int]) -> Tensor | None:
        """Return class i mod K for picture i, (N,) int64, or None where the network knows no classes."""
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

    def one_class(self, name: str | None, count: int) -> Tensor | None:
        """Return the label of one class for `count` pictures, or None for no class; raises as `labels`."""
        return None if name is None else self.labels([name] * count)

    def draw(self, indices: Sequence[int], classes: Sequence[str] | None = None) -> NDArray[np.uint8]:
        """Draw the pictures of the given numbers, uint8 (N, C, H, W), each class in turn, as `sample` does.

        Args:
            indices: numbers of the pictures, which decide their noise.
            classes: the class of each, by name, instead.

        Raises:
            DataError: if the network knows no classes, or not one of these.
        """
        device = self.model.machine.device
        labels = self.in_turn(indices) if classes is None else self.labels(classes)
        with self.computing():
            drawn = draw(self.denoiser(labels), self.sampler, self.model.shape, indices, self.seed, device)
        return to_bytes(drawn).cpu().numpy()

    def computing(self) -> AbstractContextManager[None]:
        """Return the context in which the network computes: with the threads that the experiment says."""
        return threads(self.threads)

    def unit(self, pictures: NDArray[np.uint8]) -> Tensor:
        """Return pictures, uint8 (..., C, H, W), on the model's device within [-1, 1].

        Raises:
            DataError: if they are not of the model's shape.
        """
        if pictures.shape[-3:] != self.model.shape:
            raise DataError(f"expected pictures of shape {self.model.shape}; got {pictures.shape[-3:]}")
        return to_unit(torch.from_numpy(np.array(pictures))).to(self.model.machine.device)


def _made(sampler: Sampler | str | dict[str, Any]) -> Sampler:
    try:
        return cast(Sampler, make_plugin("sampler", sampler))
    except PydanticCustomError as error:
        raise ConfigError("sampler", (error.context or {})["problems"]) from None


def _within(sampler: Sampler, timesteps: int) -> Sampler:
    """Return a sampler whose default is longer than the process with all its steps; steps that are given stay."""
    if sampler.steps <= timesteps or "steps" in sampler.model_fields_set:
        return sampler
    return sampler.model_copy(update={"steps": timesteps})
