"""Drawing the pictures of a sampler batch by batch, all of them or a part."""

from __future__ import annotations

import logging
import time
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import torch

from noisette.checkpoint import Checkpoint
from noisette.contracts import Sampler
from noisette.data import Prepared
from noisette.diffusion.signal import remarks_on_start
from noisette.errors import PluginError
from noisette.events import Events
from noisette.hooks import Run
from noisette.model.denoiser import network_calls, stacked
from noisette.model.model import Model
from noisette.model.weights import weights_of
from noisette.pixels import to_bytes
from noisette.plugins import registry
from noisette.sampling.loop import draw
from noisette.sampling.low_res import hints_of
from noisette.sampling.resume import Partial

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from noisette.config import Experiment

__all__ = ["BATCH", "Drawing", "about_of"]

log = logging.getLogger(__name__)

BATCH = {"cpu": 64, "cuda": 256}
"""Pictures drawn at once, by kind of device, if the config does not say."""

_FAR = 10.0
"""Values of an image that lies within [-1, 1] are this far out of bounds only if a sampler diverged."""


class Drawing:
    """The batches of some pictures of a sampler, drawn one after another.

    Args:
        experiment: its `sampling` and `seed` decide the pictures.
        model: what draws.
        sampler: how.
        part: which pictures; it begins at a batch's first one.
        run, events: who is told, in pictures from the beginning of the part.
        data: the prepared pictures, for a model that enlarges some.

    Attributes:
        calls: how often the network was called for the last batch that was drawn.
        reach: the largest absolute value that was drawn, before it was cut to [-1, 1].
    """

    def __init__(
        self,
        experiment: Experiment,
        model: Model,
        sampler: Sampler,
        part: range,
        run: Run,
        events: Events,
        data: Prepared | None,
    ) -> None:
        self.experiment, self.model, self.sampler, self.run, self.events = experiment, model, sampler, run, events
        self.part, self.data, self.calls, self.reach = part, data, 0, 0.0
        self.size = experiment.sampling.batch_size or BATCH[model.machine.device.type]

    def go_on(self, partial: Partial) -> None:
        """Draw the batches that are not kept; `partial` numbers pictures from the beginning of the part."""
        count = len(self.part)
        batches = [range(at, min(at + self.size, count)) for at in range(0, count, self.size)]
        self._trust(partial, [batch for batch in batches if batch in partial])
        self._warm_up(self._numbers(batches[0]))
        for batch in batches:
            if batch not in partial:
                start = time.perf_counter()
                drawn = self._draw(batch)
                partial.add(batch, drawn, time.perf_counter() - start)
            self.events.step(self.run, batch.stop, {})
        self._warn()

    def _warn(self) -> None:
        """Say that the sampler begins where it should not, or went out of bounds."""
        tables, sampler = self.model.tables, self.sampler
        for remark in remarks_on_start(tables, tables.timesteps(sampler.steps, sampler.spacing)):
            log.warning("%s %s", sampler.label, remark)
        if self.reach > _FAR:
            log.warning(
                "%s diverged: values of its images reach %.2g, and are cut to [-1, 1]. Take more steps, or another "
                "spacing or sampler",
                sampler.label,
                self.reach,
            )

    def _warm_up(self, batch: range) -> None:
        """Call the network once, untimed: the first call of a process pays for what all others use."""
        model = self.model
        denoise = stacked(model, self.sampler, self.experiment.sampling, batch, hints_of(model, self.data, batch))
        x = torch.zeros(len(batch), *model.shape, device=model.machine.device)
        with torch.no_grad():
            denoise(x, len(model.tables) - 1)

    def _trust(self, partial: Partial, kept: list[range]) -> None:
        """Draw one of the kept batches again: a sampler that was edited since then begins anew."""
        if not kept:
            return
        if partial.holds(kept[-1], self._draw(kept[-1])):
            log.info(
                "%s goes on: %d of %d batches are drawn", self.run.name, len(kept), -(-len(self.part) // self.size)
            )
        else:
            log.warning("%s begins anew: it would not draw the pictures again that are there", self.run.name)
            partial.forget()

    def _numbers(self, batch: range) -> range:
        """Return the numbers that the pictures of a batch have among all of them."""
        return range(self.part.start + batch.start, self.part.start + batch.stop)

    def _draw(self, within: range) -> NDArray[np.uint8]:
        model, batch = self.model, self._numbers(within)
        hint = hints_of(model, self.data, batch)
        denoise = stacked(model, self.sampler, self.experiment.sampling, batch, hint)
        self.calls = 0
        counter = model.network.register_forward_pre_hook(self._count)
        try:
            drawn = draw(denoise, self.sampler, model.shape, batch, self.experiment.seed, model.machine.device)
        finally:
            counter.remove()
        self.reach = max(self.reach, float(drawn.abs().max()))
        pictures: NDArray[np.uint8] = to_bytes(drawn).cpu().numpy()
        return pictures

    def _count(self, *_: object) -> None:
        self.calls += 1


def about_of(experiment: Experiment, checkpoint: Checkpoint, model: Model, sampler: Sampler) -> dict[str, Any]:
    """Return what a sampler's pictures are: JSON values; `network_calls` as the sampler declares them."""
    steps = _steps(model, sampler)
    return {
        "label": sampler.label,
        "sampler": sampler.options(),
        "plugin": registry().origin_of(sampler),
        "steps": len(steps) - 1,
        "network_calls": network_calls(sampler, model.tables),
        "count": experiment.sampling.num_images,
        "seed": experiment.seed,
        "clip": experiment.sampling.clip_x0,
        "labels": experiment.sampling.labels if model.classes else None,
        "ema": _averaged(checkpoint, experiment.sampling.ema),
        "checkpoint": checkpoint.digest,
        "step": checkpoint.step,
        "precision": model.machine.precision,
        "device": model.machine.device.type,
        "versions": {"noisette": version("noisette"), "torch": torch.__version__},
    }


def _steps(model: Model, sampler: Sampler) -> list[int]:
    """Return the sampler's walk over the model's steps."""
    try:
        return model.tables.timesteps(sampler.steps, sampler.spacing)
    except ValueError as error:
        raise PluginError(f"sampler {sampler.label}: {error}") from None


def _averaged(checkpoint: Checkpoint, ema: bool | float) -> bool | float:
    """Return of which average the weights are: True for the first, a number for another, False for none."""
    file = weights_of(checkpoint, ema)
    return False if file == "network.safetensors" else True if file == "ema.safetensors" else ema
