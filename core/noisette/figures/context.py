"""Where the images of a config are made: its model, its images to begin from, and a folder for files."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from noisette.checkpoint import Checkpoint
from noisette.config import Experiment, FiguresConfig
from noisette.config.agreement import cap_steps
from noisette.contracts import Sampler
from noisette.figures.animation import save_animation
from noisette.figures.generator import ImageGenerator
from noisette.figures.images import ImageLoader, to_image
from noisette.images import save_png
from noisette.layout import data_directory
from noisette.machine import Machine
from noisette.model.model import Model

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL import Image

    from noisette.figures.inpainting import Completion

__all__ = ["FigureContext"]


@dataclass
class FigureContext:
    """A place to make images at.

    Attributes:
        config: what lists them.
        root: folder of all results.
        folder: where files go.
        label: what they are called.
        step: is called when a part of the work is done.
        checkpoint: the trained network; None for images that need none.
        files: names of the files that tell it all; notes: what a person should know of them.
    """

    config: Experiment | FiguresConfig
    root: Path
    folder: Path
    label: str
    step: Callable[[], None]
    checkpoint: Checkpoint | None = None
    files: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def experiment(self) -> Experiment:
        """The experiment whose network draws."""
        if not isinstance(self.config, Experiment):
            raise TypeError(f"{self.label}: there is no experiment, and no network")
        return self.config

    def generator(self, sampler: Sampler) -> ImageGenerator:
        """Return the trained network, ready to draw with a sampler as the experiment's own images are drawn."""
        experiment, checkpoint = self.experiment, self.checkpoint
        if checkpoint is None:
            raise TypeError(f"{self.label}: there is no checkpoint")
        machine = Machine.detect(experiment.training.precision)
        model = Model.load(checkpoint, ema=experiment.sampling.ema, machine=machine)
        (within,) = cap_steps((sampler,), experiment.timesteps)
        return ImageGenerator(model, within, experiment.sampling.clip_x0, experiment.seed, experiment.threads)

    def image_loader(self, generator: ImageGenerator | None = None, size: int | None = None) -> ImageLoader:
        """Return where images come from, fitted to the painter's model, or as the experiment prepares them."""
        if not isinstance(self.config, Experiment):
            return ImageLoader(shape=(None, size, size))
        experiment = self.config
        preparation = experiment.preparation
        side = size or preparation.size
        shape = (preparation.channels, side, side) if generator is None else generator.model.shape
        return ImageLoader(lambda: data_directory(experiment, self.root), shape, preparation.fit, generator)

    def image(self, image_loader: ImageLoader, name: str) -> NDArray[np.uint8]:
        """Return an image by its name, uint8 (C, H, W), and note what was done to it."""
        image, done = image_loader(name)
        if done:
            self.notes.append(f"{name}: {done}")
        return image

    def mask(self, image_loader: ImageLoader, path: Path) -> NDArray[np.bool_]:
        """Return where an image is white, bool (H, W)."""
        shown, _ = replace(image_loader, shape=(1, *image_loader.shape[1:]))(str(path))
        white: NDArray[np.bool_] = shown[0] >= 128
        return white

    def save(self, image: Image.Image, suffix: str = "") -> None:
        """Save an image that tells it all, as PNG."""
        self.files.append(save_png(image, self.folder / f"{self.label}{suffix}.png").name)

    def save_single(self, image: Image.Image, suffix: str) -> None:
        """Save one of many images, which is part of one that is saved whole."""
        save_png(image, self.folder / f"{self.label}-{suffix}.png")

    def save_completion(self, result: Completion) -> None:
        """Save what was completed: all in a row, and each result alone."""
        self.save(result.grid())
        for number, completed in enumerate(result.results):
            self.save_single(to_image(completed), str(number))

    def animate(self, frames: Iterable[Image.Image]) -> None:
        """Save frames as GIF and WebP."""
        shown = list(frames)
        for suffix in (".gif", ".webp"):
            self.files.append(save_animation(shown, self.folder / f"{self.label}{suffix}").name)
