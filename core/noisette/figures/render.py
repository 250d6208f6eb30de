"""One figure of any kind, written into any directory.

from noisette import find_checkpoint
from noisette.config.figures import Edit
from noisette.figures import render_figure

render_figure(Edit(image="cat.png"), "figures", checkpoint=find_checkpoint("configs/digits.yaml")).files
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from noisette.checkpoint import Checkpoint
from noisette.config import Experiment, Figure
from noisette.config.figures import Classes, Denoise, Edit, Forward, Inpaint, Interpolate, TextToImage, Upscale
from noisette.contracts import Sampler
from noisette.figures.editing import INTERPOLATION_WEIGHTS, edit_images, make_interpolation_grid
from noisette.figures.forward import default_schedules, label_schedules, make_forward_strip
from noisette.figures.generator import ImageGenerator
from noisette.figures.images import ImageLoader, open_image, to_image
from noisette.figures.inpainting import box_mask, inpaint_image, low_res_shape, upscale_image
from noisette.figures.trajectory import ClassTrajectories, record_trajectory
from noisette.images import save_animation, save_png
from noisette.sources import resolve_source

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL import Image

    from noisette.figures.inpainting import Completion

__all__ = ["FigureFiles", "count_parts", "render_figure"]


class FigureFiles(NamedTuple):
    """What a figure consists of.

    Attributes:
        files: the whole figure: a PNG file, and a GIF and a WebP file of an animation.
        single_images: PNG files of single images that the figure shows.
        notes: how source images were changed to fit, for a reader of the figure.
    """

    files: list[Path]
    single_images: list[Path]
    notes: list[str]


def render_figure(
    figure: Figure,
    folder: Path | str,
    *,
    checkpoint: Checkpoint | None = None,
    experiment: Experiment | None = None,
    root: Path | str | None = None,
    seed: int | None = None,
    on_part: Callable[[], None] = lambda: None,
) -> FigureFiles:
    """Make a figure; its files are named by `figure.label` and replace those of the same names.

    Args:
        figure: the kind of figure and its options, with its sampler.
        folder: directory for the files; created if it does not exist.
        checkpoint: trained network; needed if `figure.needs_model`.
        experiment: its schedule, data, preparation and sampling options are used; None takes those in the
            checkpoint.
        root: results directory in which prepared images are looked up; None takes the checkpoint's.
        seed: seed of all noise; None takes the experiment's, or 0 without one.
        on_part: called after each of the figure's parts (`count_parts`).

    Raises:
        DataError: if a source image or a pretrained pipeline cannot be loaded, the network knows no such class, or
            an option is out of range.
        NotFiniteError: if generated images are not finite.
        PluginError: if the sampler does not suit the network.
        StorageError: if a file cannot be written.
    """
    context = _Context(Path(folder), figure.label, checkpoint, experiment, root, seed, on_part)
    if figure.needs_model and checkpoint is None:
        raise TypeError(f"{figure.label}: a figure of kind {figure.name} needs a checkpoint; got none")
    _RENDERERS[type(figure)](figure, context)
    return context.written


def count_parts(figure: Figure) -> int:
    """Return how often `render_figure` calls `on_part`."""
    if isinstance(figure, TextToImage):
        return len(figure.prompts) * figure.num_images
    return len(figure.images) if isinstance(figure, Forward) else 1


@dataclass(frozen=True)
class _Context:
    """The model and the source images of a figure, and the files written so far."""

    folder: Path
    label: str
    checkpoint: Checkpoint | None
    experiment: Experiment | None
    root: Path | str | None
    given_seed: int | None
    on_part: Callable[[], None]
    written: FigureFiles = field(default_factory=lambda: FigureFiles([], [], []))

    @property
    def seed(self) -> int:
        if self.given_seed is not None:
            return self.given_seed
        return 0 if self.experiment is None else self.experiment.seed

    def open_model(self, sampler: Sampler) -> tuple[ImageGenerator, ImageLoader]:
        """Return the trained network with a sampler, and a loader of images of its shape."""
        assert self.checkpoint is not None
        generator = ImageGenerator.open(self.checkpoint, sampler, seed=self.given_seed, experiment=self.experiment)
        loader = ImageLoader.of(self.checkpoint, generator, experiment=self.experiment, root=self.root)
        return generator, loader

    def load_image(self, loader: ImageLoader, name: str) -> NDArray[np.uint8]:
        """Return an image, uint8 (C, H, W), and note how it was changed."""
        image, change = loader(name)
        if change:
            self.written.notes.append(f"{name}: {change}")
        return image

    def save(self, image: Image.Image, suffix: str = "") -> None:
        self.written.files.append(save_png(image, self.folder / f"{self.label}{suffix}.png"))

    def save_single(self, image: Image.Image, suffix: str) -> None:
        self.written.single_images.append(save_png(image, self.folder / f"{self.label}-{suffix}.png"))

    def save_completion(self, completion: Completion) -> None:
        self.save(completion.grid())
        for number, result in enumerate(completion.results):
            self.save_single(to_image(result), str(number))

    def save_animations(self, frames: Iterable[Image.Image]) -> None:
        frames = list(frames)
        for suffix in (".gif", ".webp"):
            self.written.files.append(save_animation(frames, self.folder / f"{self.label}{suffix}"))


def _render_forward(figure: Forward, context: _Context) -> None:
    experiment = context.experiment
    schedules = figure.schedules or ((experiment.schedule,) if experiment else default_schedules())
    timesteps = figure.num_timesteps or (experiment.timesteps if experiment else 1000)
    processes = {row: schedule.process(timesteps) for row, schedule in label_schedules(schedules).items()}
    loader = ImageLoader.of_experiment(experiment, context.root or "runs", figure.size)
    for number, name in enumerate(figure.images):
        image = context.load_image(loader, name)
        strip = make_forward_strip(image[None], processes, figure.timesteps, context.seed, chain=figure.chain)
        context.save(strip, f"-{number}" if len(figure.images) > 1 else "")
        context.on_part()


def _render_denoise(figure: Denoise, context: _Context) -> None:
    generator, _ = context.open_model(figure.sampler)
    trajectory = record_trajectory(
        generator, range(figure.num_images), frames=figure.frames, at=figure.timesteps or ()
    )
    context.save(trajectory.strip(at=figure.timesteps))
    if figure.animate:
        context.save_animations(trajectory.frames())
    context.on_part()


def _render_classes(figure: Classes, context: _Context) -> None:
    generator, _ = context.open_model(figure.sampler)
    frames = figure.frames if figure.animate else 1
    trajectories = ClassTrajectories.record(
        generator, figure.guidance_scale, rows=figure.rows, classes=figure.classes, frames=frames
    )
    context.save(trajectories.grid())
    if figure.animate:
        context.save_animations(trajectories.frames())
    context.on_part()


def _render_edit(figure: Edit, context: _Context) -> None:
    generator, loader = context.open_model(figure.sampler)
    image = context.load_image(loader, figure.image)
    edits = edit_images(generator, image[None], figure.timesteps, figure.class_name)
    context.save(edits.grid())
    for t, result in zip(edits.steps, edits.results[0], strict=True):
        context.save_single(to_image(result), f"t{t}")
    context.on_part()


def _render_interpolate(figure: Interpolate, context: _Context) -> None:
    generator, loader = context.open_model(figure.sampler)
    first, second = (context.load_image(loader, name) for name in figure.sources)
    weights = figure.weights or INTERPOLATION_WEIGHTS
    context.save(make_interpolation_grid(generator, first, second, figure.timesteps, weights, figure.class_name))
    context.on_part()


def _render_inpaint(figure: Inpaint, context: _Context) -> None:
    generator, loader = context.open_model(figure.sampler)
    image = context.load_image(loader, figure.image)
    size = image.shape[1:]
    if figure.mask is None:
        missing = box_mask(size, figure.box)
    else:
        missing = replace(loader, shape=(1, *size))(str(figure.mask))[0][0] >= 128
    completion = inpaint_image(
        generator,
        image,
        missing,
        figure.num_images,
        figure.class_name,
        jump_length=figure.jump_length,
        jump_n_sample=figure.jump_n_sample,
    )
    context.save_completion(completion)
    context.on_part()


def _render_upscale(figure: Upscale, context: _Context) -> None:
    generator, loader = context.open_model(figure.sampler)
    shape, path = low_res_shape(generator), resolve_source(figure.image)
    if path.is_file() and max(open_image(path).size) <= max(shape[1:]):
        loader = ImageLoader(shape=shape, fit=loader.fit)
    image = context.load_image(loader, figure.image)
    context.save_completion(upscale_image(generator, image, figure.num_images, figure.class_name))
    context.on_part()


def _render_text_to_image(figure: TextToImage, context: _Context) -> None:
    from noisette.figures.text_to_image import Pipeline

    pipeline = Pipeline.open(figure)
    rows: list[list[Image.Image]] = []
    for row, prompt in enumerate(figure.prompts):
        rows.append([])
        for column in range(figure.num_images):
            image = pipeline.generate(prompt, context.seed, row * figure.num_images + column)
            rows[-1].append(image)
            context.save_single(image, f"{row}-{column}")
            context.on_part()
    context.save(pipeline.make_sheet(rows))


_RENDERERS: dict[type[Figure], Callable[[Any, _Context], None]] = {
    Forward: _render_forward,
    Denoise: _render_denoise,
    Classes: _render_classes,
    Edit: _render_edit,
    Interpolate: _render_interpolate,
    Inpaint: _render_inpaint,
    Upscale: _render_upscale,
    TextToImage: _render_text_to_image,
}
