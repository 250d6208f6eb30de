"""Generating the images of a sampler batch by batch, all of them or a part."""

from __future__ import annotations

import logging
import time
from importlib.metadata import version
from pathlib import Path
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
from noisette.layout import data_directory
from noisette.machine import Machine
from noisette.model.model import Model, build_denoiser, count_network_calls, labels_for
from noisette.model.weights import find_weights_file
from noisette.pixels import to_bytes
from noisette.plugins import registry
from noisette.sampling.loop import generate, load_low_res
from noisette.sampling.resumable_array import ResumableArray

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from noisette.config import Experiment

__all__ = ["BATCH", "SampleWriter"]

log = logging.getLogger(__name__)

BATCH = {"cpu": 64, "cuda": 256}
"""Default batch size by type of device."""

_DIVERGED = 10.0
"""Largest absolute value of images, which are within [-1, 1], unless the sampler diverged."""


class SampleWriter:
    """Generates the images of a sampler and writes them batch by batch.

    Args:
        experiment: its `sampling` and `seed` decide the images.
        checkpoint: the trained network.
        sampler: the sampler.
        part: indices of the images; the first one is the first of a batch.
        run, events: receive the progress, in images of the part.
        root: results directory with the prepared images, for a super-resolution model.

    Attributes:
        model: the trained model, with the weights and the precision of the experiment.
        calls: network calls for the latest batch.
        max_abs: largest absolute value of the images before they were clipped to [-1, 1].
    """

    def __init__(
        self,
        experiment: Experiment,
        checkpoint: Checkpoint,
        sampler: Sampler,
        part: range,
        run: Run,
        events: Events,
        root: Path | str,
    ) -> None:
        self.experiment, self.checkpoint, self.sampler = experiment, checkpoint, sampler
        self.part, self.run, self.events, self.calls, self.max_abs = part, run, events, 0, 0.0
        machine = Machine.detect(experiment.training.precision)
        self.model = model = Model.load(checkpoint, ema=experiment.sampling.ema, machine=machine)
        enlarges = model.conditioning.low_res_size is not None
        self.data = Prepared.finished(data_directory(experiment, Path(root))) if enlarges else None
        self.size = experiment.sampling.batch_size or BATCH[model.machine.device.type]

    def resume(self, array: ResumableArray) -> None:
        """Generate the missing batches; `array` counts images from the beginning of the part."""
        count = len(self.part)
        batches = [range(start, min(start + self.size, count)) for start in range(0, count, self.size)]
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
        """Warn of a sampler that begins at an unsuitable timestep, or diverged."""
        process, sampler = self.model.process, self.sampler
        for problem in find_start_problems(process, process.timesteps(sampler.steps, sampler.spacing)):
            log.warning("%s %s", sampler.label, problem)
        if self.max_abs > _DIVERGED:
            log.warning(
                "%s diverged: values of its images reach %.2g and are clipped to [-1, 1]; take more steps, or "
                "another spacing or sampler",
                sampler.label,
                self.max_abs,
            )

    def _warm_up(self, batch: range) -> None:
        """Call the network once, untimed: the first call of a process is slow."""
        model = self.model
        x = torch.zeros(len(batch), *model.shape, device=model.machine.device)
        with torch.no_grad():
            self._build_denoiser(batch)(x, len(model.process) - 1)

    def _verify(self, array: ResumableArray, finished: list[range]) -> None:
        """Generate a stored batch again; if it differs, as the sampler was edited, discard all batches."""
        if not finished:
            return
        if array.matches(finished[-1], self._generate(finished[-1])):
            log.info(
                "%s resumes: %d of %d batches are finished",
                self.run.name,
                len(finished),
                -(-len(self.part) // self.size),
            )
        else:
            log.warning("%s starts again: it does not reproduce the stored images", self.run.name)
            array.reset()

    def _indices(self, batch: range) -> range:
        """Return the indices of the images of a batch among all images."""
        return range(self.part.start + batch.start, self.part.start + batch.stop)

    def _generate(self, batch_of_part: range) -> NDArray[np.uint8]:
        model, batch = self.model, self._indices(batch_of_part)
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

    def describe(self) -> dict[str, Any]:
        """Return the description of the images, as JSON values; the network calls are the declared ones."""
        experiment, checkpoint, model, sampler = self.experiment, self.checkpoint, self.model, self.sampler
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

    def _build_denoiser(self, batch: range) -> Denoiser:
        model, options = self.model, self.experiment.sampling
        labels, low_res = labels_for(model, options, batch), load_low_res(model, self.data, batch)
        return build_denoiser(model, self.sampler, labels, options.clip_x0, low_res)

    def _count(self, *_: object) -> None:
        self.calls += 1


def _timesteps(model: Model, sampler: Sampler) -> list[int]:
    """Return the timesteps of the sampler."""
    try:
        return model.process.timesteps(sampler.steps, sampler.spacing)
    except ValueError as error:
        raise PluginError(f"sampler {sampler.label}: {error}") from None


def _ema_used(checkpoint: Checkpoint, ema: bool | float) -> bool | float:
    """Return the average that is used: True for the first one, the decay of another, False for none."""
    file = find_weights_file(checkpoint, ema)
    return False if file == "network.safetensors" else True if file == "ema.safetensors" else ema
