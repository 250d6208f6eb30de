"""Drawing the images of a sampler batch by batch, all of them or a part."""

from __future__ import annotations

import logging
import time
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import torch

from noisette.checkpoint import Checkpoint
from noisette.contracts import Sampler
from noisette.data import Prepared
from noisette.diffusion.denoiser import Denoiser
from noisette.diffusion.schedule_checks import find_start_problems
from noisette.errors import PluginError
from noisette.events import Events
from noisette.hooks import Run
from noisette.model.model import Model, build_denoiser, count_network_calls, labels_for
from noisette.model.weights import find_weights_file
from noisette.pixels import to_bytes
from noisette.plugins import registry
from noisette.sampling.loop import generate
from noisette.sampling.low_res import load_low_res
from noisette.sampling.resumable_array import ResumableArray

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from noisette.config import Experiment

__all__ = ["BATCH", "SampleWriter", "describe_samples"]

log = logging.getLogger(__name__)

BATCH = {"cpu": 64, "cuda": 256}
"""Images drawn at once, by kind of device, if the config does not say."""

_DIVERGED = 10.0
"""Values of an image that lies within [-1, 1] are this far out of bounds only if a sampler diverged."""


class SampleWriter:
    """The batches of some images of a sampler, drawn one after another.

    Args:
        experiment: its `sampling` and `seed` decide the images.
        model: what draws.
        sampler: how.
        part: which images; it begins at a batch's first one.
        run, events: who is told, in images from the beginning of the part.
        data: the prepared images, for a model that enlarges some.

    Attributes:
        calls: how often the network was called for the last batch that was drawn.
        max_abs: the largest absolute value that was drawn, before it was cut to [-1, 1].
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
        self.part, self.data, self.calls, self.max_abs = part, data, 0, 0.0
        self.size = experiment.sampling.batch_size or BATCH[model.machine.device.type]

    def resume(self, array: ResumableArray) -> None:
        """Draw the batches that are not kept; `array` numbers images from the beginning of the part."""
        count = len(self.part)
        batches = [range(at, min(at + self.size, count)) for at in range(0, count, self.size)]
        self._verify(array, [batch for batch in batches if batch in array])
        self._warm_up(self._indices(batches[0]))
        for batch in batches:
            if batch not in array:
                start = time.perf_counter()
                images = self._generate(batch)
                array.add(batch, images, time.perf_counter() - start)
            self.events.step(self.run, batch.stop, {})
        self._warn()

    def _warn(self) -> None:
        """Say that the sampler begins where it should not, or went out of bounds."""
        process, sampler = self.model.process, self.sampler
        for remark in find_start_problems(process, process.timesteps(sampler.steps, sampler.spacing)):
            log.warning("%s %s", sampler.label, remark)
        if self.max_abs > _DIVERGED:
            log.warning(
                "%s diverged: values of its images reach %.2g, and are cut to [-1, 1]. Take more steps, or another "
                "spacing or sampler",
                sampler.label,
                self.max_abs,
            )

    def _warm_up(self, batch: range) -> None:
        """Call the network once, untimed: the first call of a process pays for what all others use."""
        model = self.model
        x = torch.zeros(len(batch), *model.shape, device=model.machine.device)
        with torch.no_grad():
            self._build_denoiser(batch)(x, len(model.process) - 1)

    def _verify(self, array: ResumableArray, finished: list[range]) -> None:
        """Draw one of the kept batches again: a sampler that was edited since then begins anew."""
        if not finished:
            return
        if array.matches(finished[-1], self._generate(finished[-1])):
            log.info(
                "%s goes on: %d of %d batches are drawn",
                self.run.name,
                len(finished),
                -(-len(self.part) // self.size),
            )
        else:
            log.warning("%s begins anew: it would not draw the images again that are there", self.run.name)
            array.reset()

    def _indices(self, batch: range) -> range:
        """Return the numbers that the images of a batch have among all of them."""
        return range(self.part.start + batch.start, self.part.start + batch.stop)

    def _generate(self, within: range) -> NDArray[np.uint8]:
        model, batch = self.model, self._indices(within)
        denoise = self._build_denoiser(batch)
        self.calls = 0
        counter = model.network.register_forward_pre_hook(self._count)
        try:
            generated = generate(
                denoise, self.sampler, model.shape, batch, self.experiment.seed, model.machine.device
            )
        finally:
            counter.remove()
        self.max_abs = max(self.max_abs, float(generated.abs().max()))
        images: NDArray[np.uint8] = to_bytes(generated).cpu().numpy()
        return images

    def _build_denoiser(self, batch: range) -> Denoiser:
        model, options = self.model, self.experiment.sampling
        labels, low_res = labels_for(model, options, batch), load_low_res(model, self.data, batch)
        return build_denoiser(model, self.sampler, labels, options.clip_x0, low_res)

    def _count(self, *_: object) -> None:
        self.calls += 1


def describe_samples(
    experiment: Experiment, checkpoint: Checkpoint, model: Model, sampler: Sampler
) -> dict[str, Any]:
    """Return what a sampler's images are: JSON values; `count_network_calls` as the sampler declares them."""
    steps = _timesteps(model, sampler)
    return {
        "label": sampler.label,
        "sampler": sampler.options(),
        "plugin": registry().origin_of(sampler),
        "steps": len(steps) - 1,
        "network_calls": count_network_calls(sampler, model.process),
        "count": experiment.sampling.num_images,
        "seed": experiment.seed,
        "clip": experiment.sampling.clip_x0,
        "labels": experiment.sampling.labels if model.classes else None,
        "ema": _ema_used(checkpoint, experiment.sampling.ema),
        "checkpoint": checkpoint.digest,
        "step": checkpoint.step,
        "precision": model.machine.precision,
        "device": model.machine.device.type,
        "versions": {"noisette": version("noisette"), "torch": torch.__version__},
    }


def _timesteps(model: Model, sampler: Sampler) -> list[int]:
    """Return the sampler's walk over the model's steps."""
    try:
        return model.process.timesteps(sampler.steps, sampler.spacing)
    except ValueError as error:
        raise PluginError(f"sampler {sampler.label}: {error}") from None


def _ema_used(checkpoint: Checkpoint, ema: bool | float) -> bool | float:
    """Return of which average the weights are: True for the first, a number for another, False for none."""
    file = find_weights_file(checkpoint, ema)
    return False if file == "network.safetensors" else True if file == "ema.safetensors" else ema
